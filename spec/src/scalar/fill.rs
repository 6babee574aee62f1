//! How full something is.

use super::Scalar;
use crate::problem::Problem;

/// How full a disk is, in hundredths.
pub(crate) struct Fill(pub(crate) u8);

impl Scalar for Fill {
    const FORMAT: &'static str = "fill";
    const EXAMPLES: &'static [&'static str] = &["85%"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|it| it.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(hundredths @ 1..=100) => Ok(Self(hundredths)),
            _ => Err(Problem::new(format!("{text:?} does not say how full a disk is"))
                .hint("write `1%` to `100%`, as `85%`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_is_a_whole_number_of_hundredths() {
        for (text, expected) in [("85%", Some(85)), ("1%", Some(1)), ("100%", Some(100))] {
            assert_eq!(Fill::parse(text).ok().map(|fill| fill.0), expected, "{text}");
        }
        for text in ["", "%", "85", "0%", "101%", "+5%", "8.5%", "-1%", "999%", " 85%"] {
            assert!(Fill::parse(text).is_err(), "{text}");
        }
    }
}
