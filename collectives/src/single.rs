//! A rank alone.

use super::{CollectiveError, Communicator};

/// The only rank there is: it has what it gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Single;

impl Communicator for Single {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_to_all(&self, send: &[f32], receive: &mut [f32]) -> Result<(), CollectiveError> {
        receive.copy_from_slice(send);
        Ok(())
    }

    fn all_gather(&self, own: &[f32], all: &mut [f32]) -> Result<(), CollectiveError> {
        all.copy_from_slice(own);
        Ok(())
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<(), CollectiveError> {
        all.copy_from_slice(own);
        Ok(())
    }

    fn broadcast(&self, _bytes: &mut [u8]) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn all_reduce(&self, _values: &mut [f32]) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn abort(&self, _code: i32) {}
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_has_what_it_gives() {
        crate::conformance::check(&super::Single);
    }
}
