//! Convolution along any number of axes, spelled in windows.

use super::Tensor;
use crate::op::TypeError;

/// How a window moves along an axis: that of a weight, or of a pool.
///
/// ```
/// use bsq_ir::tensor::Slide;
/// let halving = Slide { stride: 2, ..Slide::padded(1) };
/// assert_eq!(halving.positions(3, 8), Some(4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slide {
    /// From a window to the next.
    pub stride: usize,
    /// From an element of a window to the next.
    pub dilation: usize,
    /// Elements added before and after.
    pub padding: [usize; 2],
}

impl Default for Slide {
    fn default() -> Slide {
        Slide::padded(0)
    }
}

impl Slide {
    /// One step at a time, with `padding` on both sides.
    pub fn padded(padding: usize) -> Slide {
        Slide {
            stride: 1,
            dilation: 1,
            padding: [padding; 2],
        }
    }

    /// How many windows of `size` elements an axis of `extent` has; `None` if there is none.
    pub fn positions(self, size: usize, extent: usize) -> Option<usize> {
        let span = self.dilation * size.checked_sub(1)? + 1;
        let room = (extent + self.padding[0] + self.padding[1]).checked_sub(span)?;
        Some(room.checked_div(self.stride)? + 1)
    }
}

/// Where the channels of a tensor and of a weight are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[batch, channels, places..]`, weights `[outputs, channels, places..]`.
    #[default]
    ChannelsFirst,
    /// `[batch, places.., channels]`, weights `[outputs, places.., channels]`.
    ChannelsLast,
}

impl<'g> Tensor<'g> {
    /// Slides a weight over places, with zeros outside: `[n, c, places..]` and
    /// `[o, c / groups, sizes..]` give `[n, o, positions..]`, or all with channels last. It is the
    /// cross-correlation that PyTorch calls a convolution, along as many axes as there are slides;
    /// output group i reads input group i.
    ///
    /// It is a contraction over views: `pad`, `window`, `dot_general`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn convolution(
        self,
        weight: Tensor<'g>,
        slides: &[Slide],
        groups: usize,
        layout: Layout,
    ) -> Tensor<'g> {
        self.beside("convolution", &[weight]);
        let (x, w) = (self.ty(), weight.ty());
        let fail = |what: String| TypeError::of_call("convolution", [&x, &w], what);
        let rank = slides.len() + 2;
        if x.shape.rank() != rank || w.shape.rank() != rank {
            let axes = slides.len();
            fail(format!(
                "needs a batch, channels and {axes} axes to slide along"
            ))
            .raise();
        }
        let (channels, first) = match layout {
            Layout::ChannelsFirst => (1, 2),
            Layout::ChannelsLast => (rank - 1, 1),
        };
        let (inputs, outputs) = (x.shape[channels], w.shape[0]);
        if groups == 0 || inputs % groups != 0 || outputs % groups != 0 {
            fail(format!(
                "{inputs} to {outputs} channels are no {groups} equal groups"
            ))
            .raise();
        }
        if w.shape[channels] * groups != inputs {
            let reads = w.shape[channels];
            let each = match groups {
                1 => String::new(),
                groups => format!(", {} in each of {groups} groups", inputs / groups),
            };
            fail(format!(
                "there are {inputs} channels{each}; the weight reads {reads}"
            ))
            .raise();
        }
        let split = usize::from(groups > 1);
        let (mut windows, mut weight) = (self, weight);
        if split == 1 {
            windows = windows.split(channels, groups);
            weight = weight.split(0, groups);
        }
        // In windows: the first axis to slide along, behind the channels or before them.
        let (last, count) = (layout == Layout::ChannelsLast, slides.len());
        let start = if last { first } else { first + split };
        let padding = slides.iter().enumerate();
        let padding = padding.map(|(axis, slide)| (start + axis, slide.padding));
        windows = windows.pad_axes(padding, 0.0);
        for (axis, slide) in slides.iter().enumerate().rev() {
            let size = w.shape[first + axis];
            let axis = (start + axis) as isize;
            windows = windows.window(axis, size, slide.stride, slide.dilation);
        }
        // Axis i of the slides is now axes start + 2 i, its positions, and the one behind it.
        let group = if last { start + 2 * count } else { 1 };
        let channel_pair = (group + split, channels + split);
        let sizes = (0..count).map(|axis| (start + 2 * axis + 1, first + axis + split));
        let mut contract: Vec<(usize, usize)> = sizes.collect();
        contract.insert(if last { count } else { 0 }, channel_pair);
        let batch = if split == 1 {
            vec![(group, 0)]
        } else {
            Vec::new()
        };
        // [groups, n, positions.., outputs of a group], or without groups
        let y = windows.dot_general(weight, &batch, &contract);
        let mut order: Vec<usize> = (split..rank - 1 + split).collect();
        let outputs_at = if last { rank - 1 } else { 1 };
        let own = [0, rank - 1 + split];
        order.splice(outputs_at..outputs_at, own[1 - split..].iter().copied());
        let y = y.transpose(&order);
        if split == 0 {
            return y;
        }
        let mut shape = y.shape().to_vec();
        shape.remove(channels);
        shape[channels] = outputs;
        y.reshape(shape)
    }

    /// The transposed convolution: what carries a cotangent of `[n, o, positions..]` of a
    /// [`convolution`](Tensor::convolution) with this weight back to its inputs. Channels first: `[n, c, places..]` and
    /// `[c, o / groups, sizes..]` give `[n, o, ..]`, with
    /// `(places - 1) stride - padding + dilation (size - 1) + 1 + extra` places along an axis, as
    /// PyTorch's `conv_transpose2d` with its `output_padding` in `extra`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn transposed_convolution(
        self,
        weight: Tensor<'g>,
        slides: &[Slide],
        extra: &[usize],
        groups: usize,
    ) -> Tensor<'g> {
        self.beside("transposed_convolution", &[weight]);
        let (x, w) = (self.ty(), weight.ty());
        let fail = |what: String| TypeError::of_call("transposed_convolution", [&x, &w], what);
        let rank = slides.len() + 2;
        if x.shape.rank() != rank || w.shape.rank() != rank || extra.len() != slides.len() {
            let axes = slides.len();
            fail(format!(
                "needs a batch, channels and {axes} axes to slide along"
            ))
            .raise();
        }
        let inputs = x.shape[1];
        if slides.iter().any(|slide| slide.stride == 0) {
            fail("a stride is at least 1".into()).raise();
        }
        if groups == 0 || inputs % groups != 0 || w.shape[0] != inputs {
            fail(format!(
                "needs {groups} equal groups of the weight's {} channels",
                w.shape[0]
            ))
            .raise();
        }
        let mut stuffed = self;
        for (axis, (slide, &extra)) in slides.iter().zip(extra).enumerate() {
            let reach = slide.dilation * w.shape[axis + 2].saturating_sub(1);
            let [before, after] = slide.padding;
            stuffed = stuffed.stuffed(axis + 2, slide.stride - 1);
            // Where more is cut off than the weight reaches, places go.
            let places = stuffed.shape()[axis + 2];
            let first = before.saturating_sub(reach);
            let last = (places + extra + reach).saturating_sub(after).min(places);
            if first >= last {
                fail(format!("nothing is left of axis {}", axis + 2)).raise();
            }
            let padding = [
                reach.saturating_sub(before),
                (reach + extra).saturating_sub(after),
            ];
            stuffed = stuffed.slice(axis as isize + 2, first..last);
            stuffed = stuffed.pad_axes([(axis + 2, padding)], 0.0);
        }
        // [c, o / groups, ..] becomes [o, c / groups, ..], group by group.
        let (each, sizes) = (w.shape[1], &w.shape[2..]);
        let order: Vec<usize> = [0, 2, 1].into_iter().chain(3..=rank).collect();
        let turned = weight.split(0, groups).transpose(&order);
        let turned = turned.reshape([&[groups * each, inputs / groups], sizes].concat());
        let places: Vec<isize> = (2..rank as isize).collect();
        let dense: Vec<Slide> = slides
            .iter()
            .map(|slide| Slide {
                stride: 1,
                padding: [0; 2],
                ..*slide
            })
            .collect();
        stuffed.convolution(
            turned.flip(&places[..]),
            &dense,
            groups,
            Layout::ChannelsFirst,
        )
    }

    /// [`convolution`](Tensor::convolution) of images `[n, c, h, w]` with a weight
    /// `[o, c, kh, kw]`, `padding` zeros on each side:
    /// `[n, o, (h + 2 padding - kh) / stride + 1, ...]`. It is PyTorch's `conv2d` without a bias.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn conv2d(self, weight: Tensor<'g>, stride: usize, padding: usize) -> Tensor<'g> {
        let slide = Slide {
            stride,
            ..Slide::padded(padding)
        };
        self.convolution(weight, &[slide; 2], 1, Layout::ChannelsFirst)
    }

    /// Axis `axis` becomes `[groups, each]`.
    #[track_caller]
    fn split(self, axis: usize, groups: usize) -> Tensor<'g> {
        let mut shape = self.shape().to_vec();
        shape[axis] /= groups;
        shape.insert(axis, groups);
        self.reshape(shape)
    }
}
