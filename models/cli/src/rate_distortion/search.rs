//! The largest file that is not too large, by bisection.

use super::Encoded;

/// Settings above the one found that are tried too: sizes do not quite ascend.
const TRIED_ABOVE: usize = 3;

/// Of settings `0..count`, whose files grow, the largest file of at most `bytes`.
pub(super) fn largest_within<E>(
    count: usize,
    bytes: usize,
    mut encode: impl FnMut(usize) -> Result<Encoded, E>,
) -> Result<Option<Encoded>, E> {
    let mut best: Option<Encoded> = None;
    let mut keep = |file: Encoded| {
        let fits = file.bytes.len() <= bytes;
        if fits
            && best
                .as_ref()
                .is_none_or(|best| best.bytes.len() < file.bytes.len())
        {
            best = Some(file);
        }
        fits
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        match keep(encode(middle)?) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    for setting in (low + 1..count).take(TRIED_ABOVE) {
        keep(encode(setting)?);
    }
    Ok(best)
}
