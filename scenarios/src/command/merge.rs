//! `zabsim merge`: the results of shards, or of nights, as one.

use super::Output;
use super::campaign::exit_code;
use crate::campaign::{Merged, merge as join};
use std::path::PathBuf;
use zabsim_reports::render_campaign;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The directories of campaigns, or their campaign.jsonl; the order does not matter, and what is there twice counts once
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Write the result into this directory, as a campaign's
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print exactly one JSON object: the summary
    #[arg(long)]
    json: bool,
}

pub(super) fn merge(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let Merged { summary, remarks } = join(&arguments.dirs, arguments.out.as_deref())?;
    for remark in &remarks {
        output.complain(remark);
    }
    if arguments.json {
        let json = serde_json::to_string(&summary).map_err(|error| error.to_string())?;
        output.print(&format!("{json}\n"));
    } else {
        output.print(&render_campaign(&summary));
        if let Some(dir) = &arguments.out {
            output.print(&format!("\nWritten to {}\n", dir.display()));
        }
    }
    Ok(exit_code(&summary))
}
