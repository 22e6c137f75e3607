//! Minibatch standard deviation (Karras et al., 2018): a batch without variety looks generated.

use bsq_ir::Tensor;

/// Keeps roots from zero.
const EPSILON: f64 = 1e-8;

/// Appends a channel to `[batch, channels, height, width]`: how much examples of a group differ, the
/// deviation over the group's members, averaged over all features. Groups have `group_size` members,
/// or the whole batch where that is smaller; example i is in group i mod (number of groups).
///
/// # Panics
/// If the batch is no whole groups.
#[track_caller]
pub(super) fn with_deviation(x: Tensor<'_>, group_size: usize) -> Tensor<'_> {
    let [batch, channels, height, width] = x.shape()[..] else {
        panic!("needs [batch, channels, height, width], not {}", x.ty())
    };
    let members = group_size.min(batch);
    assert!(
        members > 0 && batch.is_multiple_of(members),
        "a batch of {batch} is no whole groups of {members} for the minibatch deviation"
    );
    let groups = batch / members;
    let by_member = x.reshape([members, groups, channels, height, width]);
    let shape = by_member.shape();
    let deviation = match members {
        2 => of_two(by_member),
        _ => {
            let centred = by_member - by_member.mean(0).expand_axes(0, &shape);
            (centred.square().mean(0) + EPSILON).sqrt()
        }
    };
    let of_group = deviation.mean([1, 2, 3]);
    let channel = of_group
        .broadcast_in_dim([members, groups, 1, height, width], &[1])
        .reshape([batch, 1, height, width]);
    x.graph().concat(&[x, channel], 1)
}

/// The deviation `sqrt(d^2 + epsilon)` of two members that are 2 d apart.
///
/// Its second derivative `epsilon / (d^2 + epsilon)^(3/2)` is a difference of terms that are larger by
/// `d^2 / epsilon`: in f32 nothing is left of it. So it is spelled `|d| + e / (|d| + sqrt(d^2 + e))`, a
/// line and a small rest, each with precise derivatives.
#[track_caller]
fn of_two(members: Tensor<'_>) -> Tensor<'_> {
    let [a, b] = [0, 1].map(|member| members.slice(0, member..member + 1).squeeze(0));
    let half = ((a - b) * 0.5).abs();
    half + EPSILON / (half + (half.square() + EPSILON).sqrt())
}
