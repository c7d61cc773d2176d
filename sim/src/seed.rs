//! Seeds as people write them.

/// Reads a seed: decimal, `0x` and up to 16 hexadecimal digits, or a git commit's 40 digits, of which the first 16 count
/// (so that a nightly job can use the commit it tests).
pub fn parse_seed(text: &str) -> Result<u64, String> {
    let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let seed = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(hex)
    } else if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        hex(&text[..16])
    } else {
        Some(text)
            .filter(|t| t.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|t| t.parse().ok())
    };
    seed.ok_or_else(|| {
        format!(
            "\"{text}\" is no seed; a seed is a whole number below 2^64, 0x and up to 16 hexadecimal digits, or a git \
             commit's 40 digits"
        )
    })
}

/// A seed as reports show it.
pub fn seed_text(seed: u64) -> String {
    format!("{seed:#018x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_decimal_hexadecimal_or_a_commit() {
        assert_eq!(parse_seed("42"), Ok(42));
        assert_eq!(parse_seed("0x2a"), Ok(42));
        assert_eq!(parse_seed("0xffffffffffffffff"), Ok(u64::MAX));
        assert_eq!(
            parse_seed("00000000000000ff000000000000000000000000"),
            Ok(255)
        );
        assert_eq!(parse_seed(&seed_text(7)), Ok(7));
    }

    #[test]
    fn anything_else_is_refused_with_what_is_allowed() {
        for bad in [
            "",
            "x",
            "-1",
            "+1",
            "1.5",
            "0x",
            "0xg",
            "0x10000000000000000",
            "18446744073709551616",
            "0x+1",
        ] {
            let why = parse_seed(bad).expect_err(bad);
            assert!(why.contains("40 digits"), "{why}");
        }
    }
}
