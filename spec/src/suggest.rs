//! "Did you mean": the known word nearest to an unknown one.

/// Words longer than this are not compared: the cost grows with the product of both lengths.
const LONGEST_WORD: usize = 64;

/// A hint naming the candidate that `word` was probably meant to be.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The candidate nearest to `word`, if one is near.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST_WORD)
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed_distance(&lower, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A third of the longer word may differ.
fn allowed_distance(word: &str, candidate: &str) -> usize {
    (word.len().max(candidate.len()) / 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_wins_and_a_far_one_is_not_named() {
        assert_eq!(nearest("imgae", ["image", "state"]), Some("image"));
        assert_eq!(nearest("PORTS", ["ports", "pids"]), Some("ports"));
        assert_eq!(nearest("zebra", ["image", "state"]), None);
        assert_eq!(nearest(&"a".repeat(100_000), ["image"]), None);
    }
}
