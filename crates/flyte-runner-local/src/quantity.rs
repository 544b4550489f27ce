//! Resource quantities in the format of Kubernetes.

/// Parses a quantity in bytes, for example `512Mi`, `1.5G` or `1e9`. `None` if it is not valid.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a memory limit does not have to be exact"
)]
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 12] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("m", 0.001),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("", 1.0),
    ];
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| text.trim().strip_suffix(name).map(|number| (number, unit)))?;
    // Rust also parses `inf`, `nan` and signs, which Kubernetes does not accept here.
    if number.is_empty() || number.contains(|c: char| !(c.is_ascii_digit() || ".eE+".contains(c))) {
        return None;
    }
    let bytes = number.parse::<f64>().ok()? * unit;
    bytes.is_finite().then_some(bytes.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_parsed_as_in_kubernetes() {
        for (text, expected) in [
            ("1024", 1024),
            ("512Mi", 512 << 20),
            ("1Gi", 1 << 30),
            ("1.5G", 1_500_000_000),
            ("1e3", 1000),
            ("128k", 128_000),
            ("2000m", 2),
        ] {
            assert_eq!(parse_bytes(text), Some(expected), "{text}");
        }
        for text in ["", "Gi", "-1Gi", "inf", "nan", "1 Gi", "1GiB", "x"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
