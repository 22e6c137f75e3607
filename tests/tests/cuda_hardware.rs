//! The suite of devices on this machine's GPU: `cargo test -p bsq-tests --features cuda-hardware`.

#![cfg(feature = "cuda-hardware")]

use bsq_runtime::Device;
use bsq_runtime::cuda::{CudaError, gpu_info};
use bsq_tests::device_suite;

/// The first GPU; where there is none, that is said. A driver or a GPU that is there and does not
/// do is a failure.
fn gpu() -> Option<Device> {
    match gpu_info(0) {
        Ok(gpu) => {
            println!("on {}", gpu.name);
            Some(Device::Cuda { ordinal: 0 })
        }
        Err(error @ (CudaError::NoDriver | CudaError::NoDevice { .. })) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_tokenizer_has_the_bits_of_the_cpu() {
    gpu().map(device_suite::forward);
}

#[test]
fn a_training_step_has_the_bits_of_the_cpu() {
    gpu().map(device_suite::training);
}

#[test]
fn a_prior_has_the_bits_of_the_cpu() {
    gpu().map(device_suite::prior);
}

#[test]
fn sessions_keep_their_promises() {
    gpu().map(device_suite::sessions);
}
