//! A CUDA driver for tests: the calls that `bsq-runtime` makes, with the PTX interpreter as GPU.
//!
//! Where it is loaded as `libcuda.so`, programs run as on a GPU: memory, modules, streams, recorded
//! graphs and events, and whatever goes wrong in reality and can be asked for here ([`Trouble`]).
//! It is strict where a driver would let a mistake pass: addresses, sizes, handles and the order of
//! calls are checked, and what is not given back is reported.
//!
//! | file | what is in it |
//! |---|---|
//! | `gpu` | the GPU behind the calls |
//! | `trouble` | what goes wrong, from the environment |
//! | `calls` | the driver's functions |

mod calls;
mod gpu;
mod trouble;

pub use trouble::{Trouble, VARIABLE};
