//! Kernels of the full-size model: 36 bits, 256x256 pixels, width 768, 1,024 tokens; and convolutions of
//! the networks that judge it in training.

mod attention;
mod block;
mod contraction;
mod convolution;
mod elementwise;
mod launch;
mod quantizer;

use bsq_benches::Suite;

fn main() {
    let mut suite = Suite::from_arguments();
    contraction::compare(&mut suite);
    convolution::compare(&mut suite);
    attention::compare(&mut suite);
    elementwise::compare(&mut suite);
    quantizer::compare(&mut suite);
    block::compare(&mut suite);
    launch::compare(&mut suite);
    suite.finish();
}
