//! What ranks tell one another beside gradients: where the training begins, whether all go on, and
//! whether all have the same parameters.

use super::TrainError;
use super::checkpoint::Position;
use bsq_collectives::Ranks;
use bsq_runtime::HostTensor;
use bsq_runtime::executor::Tensors;

/// Gives every rank the start of rank 0: its position, and tensors of the names and types that all have.
pub(super) fn start_of_first(
    ranks: &Ranks,
    position: &mut Position,
    tensors: &mut Tensors,
) -> Result<(), TrainError> {
    if !ranks.are_several() {
        return Ok(());
    }
    position.done = ranks.word_of_first(position.done)?;
    for number in [&mut position.first_loss, &mut position.first_size] {
        // Bit 32 is set where there is one.
        let word = number.map_or(0, |number| u64::from(number.to_bits()) | 1 << 32);
        let word = ranks.word_of_first(word)?;
        *number = (word >> 32 != 0).then(|| f32::from_bits(word as u32));
    }
    for tensor in tensors.values_mut() {
        ranks.broadcast(tensor.bytes_mut()?)?;
    }
    Ok(())
}

/// That all ranks have the same `what`, of which each gives a checksum.
pub(super) fn agree(
    ranks: &Ranks,
    what: &'static str,
    step: u64,
    own: impl FnOnce() -> Result<u64, TrainError>,
) -> Result<(), TrainError> {
    if !ranks.are_several() {
        return Ok(());
    }
    let words = ranks.gather_words(own()?)?;
    match minority(&words) {
        others if others.is_empty() => Ok(()),
        others => Err(TrainError::RanksDiffer {
            what,
            step,
            ranks: others,
        }),
    }
}

/// The ranks that have another word than most; rank 0 is right where as many have the one as the other.
fn minority(words: &[u64]) -> Vec<usize> {
    let count = |word: u64| words.iter().filter(|&&other| other == word).count();
    let most = words.iter().rev().max_by_key(|&&word| count(word));
    let differing = words.iter().enumerate();
    let differing = differing.filter(|(_, word)| Some(*word) != most);
    differing.map(|(rank, _)| rank).collect()
}

/// A checksum of tensors, with their names.
pub(super) fn checksum<'a>(tensors: impl Iterator<Item = (&'a str, &'a HostTensor)>) -> u64 {
    let of = |sum: u32, (name, tensor): (&str, &HostTensor)| {
        crc32c::crc32c_append(crc32c::crc32c_append(sum, name.as_bytes()), tensor.bytes())
    };
    u64::from(tensors.fold(0, of))
}

#[cfg(test)]
mod tests {
    use super::minority;

    #[test]
    fn those_who_differ_from_most_are_named() {
        assert!(minority(&[5, 5, 5]).is_empty());
        assert_eq!(minority(&[5, 5, 6, 5]), [2]);
        assert_eq!(minority(&[6, 5, 5, 5]), [0]);
        assert_eq!(minority(&[5, 6]), [1]);
        assert_eq!(minority(&[5, 6, 5, 7]), [1, 3]);
    }
}
