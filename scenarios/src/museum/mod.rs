//! What is known of the bugs that can be planted: how many seeds each takes until it is caught and by which check
//! ([`results`], kept in `reports/bugs.json`), as a table ([`table`]), and for each a script that shows it ([`scripts`]).

pub(crate) mod adopt;
pub(crate) mod results;
pub(crate) mod scripts;
pub(crate) mod table;
