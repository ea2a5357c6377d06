//! The convolutional classifier of few-shot learning: four times convolution, batch norm, rectifier; then one linear layer.
//!
//! Each convolution is 3 x 3 with stride 2 and 'same' padding as TensorFlow counts it: `(out - 1) * 2 + 3 - side` pixels in all, the smaller half
//! before, so on an even side 0 before and 1 after. It is done as one gather of patches and one matrix product: on the CPU about twice
//! as fast as Burn's own convolution, whose gradient by the weights is many small products.
//!
//! Batch norm always uses the statistics of the batch at hand, in training and in testing: a picture's class depends on its company.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, Once, PoisonError};

use burn_tensor::{Device, Int, Tensor, TensorData, activation};
use tony_random::Stream;

use crate::{Error, Result};

/// Convolutions.
const LAYERS: usize = 4;
/// Pixels of a patch.
const PATCH: usize = 9;
/// Added to a variance before its root.
const VARIANCE: f64 = 1e-3;

/// Sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pixels of a side of a picture.
    pub side: usize,
    /// Numbers of a pixel.
    pub channels: usize,
    /// Filters of each convolution.
    pub filters: usize,
    /// Classes.
    pub classes: usize,
}

/// Where a convolution's parameters lie in the flat ones, and what it sees.
#[derive(Clone, Debug)]
struct Layer {
    side: usize,
    inputs: usize,
    /// `PATCH * inputs` rows (pixels of the patch row by row, then channels) of one number a filter.
    weights: Range<usize>,
    /// Filters each: scale and shift of the batch norm. The bias before them comes first and is skipped: see [`ConvNet::gradient`].
    scale: Range<usize>,
    shift: Range<usize>,
}

/// A network.
#[derive(Debug)]
pub struct ConvNet {
    shape: Shape,
    layers: Vec<Layer>,
    /// Linear layer: `flat x classes` weights, then biases.
    head: Range<usize>,
    head_bias: Range<usize>,
    /// Patches of the second to last convolution, by number of pictures.
    patches: Mutex<BTreeMap<usize, Arc<Vec<TensorData>>>>,
}

impl ConvNet {
    /// A network of this shape.
    pub fn new(shape: Shape) -> Result<Self> {
        let Shape { side, channels, filters, classes } = shape;
        if [side, channels, filters, classes].contains(&0) {
            return Err(Error::Shape { side, channels, filters, classes });
        }
        keep_memory();
        let (mut at, mut inside, mut inputs) = (0, side, channels);
        let mut take = |n: usize| {
            at += n;
            at - n..at
        };
        let mut layers = Vec::with_capacity(LAYERS);
        for _ in 0..LAYERS {
            let weights = take(PATCH * inputs * filters);
            take(filters);
            layers.push(Layer { side: inside, inputs, weights, scale: take(filters), shift: take(filters) });
            (inside, inputs) = (halved(inside), filters);
        }
        let head = take(inside * inside * filters * classes);
        let head_bias = take(classes);
        Ok(Self { shape, layers, head, head_bias, patches: Mutex::default() })
    }

    /// Sizes, as given.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Sides of the input and after each convolution.
    pub fn sides(&self) -> Vec<usize> {
        let after = self.layers.iter().map(|layer| halved(layer.side));
        std::iter::once(self.shape.side).chain(after).collect()
    }

    /// Numbers that the linear layer sees.
    pub fn flat(&self) -> usize {
        self.head.len() / self.shape.classes
    }

    /// Length of the flat parameters.
    pub fn num_params(&self) -> usize {
        self.head_bias.end
    }

    /// Numbers of a picture: rows of pixels of channels.
    pub fn input(&self) -> usize {
        self.shape.side * self.shape.side * self.shape.channels
    }

    /// Floating-point operations of the products of one picture's forward pass, 2 a multiply-add. A gradient costs three times as many,
    /// less the first convolution's once.
    pub fn flops_per_picture(&self) -> u64 {
        let macs = |layer: &Layer| halved(layer.side).pow(2) * layer.weights.len();
        2 * (self.layers.iter().map(macs).sum::<usize>() + self.head.len()) as u64
    }

    /// Fill `params`: Glorot-uniform kernels, scales 1, all else 0.
    ///
    /// # Panics
    /// If `params` is not of [`ConvNet::num_params`] numbers.
    pub fn init(&self, params: &mut [f32], stream: &mut Stream) {
        self.check(params);
        let mut glorot = |weights: &mut [f32], ends: usize| {
            let bound = (6.0 / ends as f64).sqrt();
            weights.iter_mut().for_each(|w| *w = stream.range(-bound, bound) as f32);
        };
        params.fill(0.0);
        for layer in &self.layers {
            glorot(&mut params[layer.weights.clone()], PATCH * (layer.inputs + self.shape.filters));
            params[layer.scale.clone()].fill(1.0);
        }
        glorot(&mut params[self.head.clone()], self.flat() + self.shape.classes);
    }

    /// Scores of each class for each picture (n x classes), all pictures being one batch.
    ///
    /// # Panics
    /// If a slice is not of the network's size.
    pub fn scores(&self, params: &[f32], pictures: &[f32]) -> Result<Vec<f32>> {
        let leaves = self.leaves(params, &Device::flex());
        numbers(self.forward(&leaves, pictures, &Device::flex()), "the scores")
    }

    /// Overwrite `grad` with the gradient of the cross-entropy summed over the pictures; the sum.
    ///
    /// A bias before batch norm is subtracted again with the mean, so it is left out of the arithmetic and its gradient is 0; it keeps its
    /// place among the parameters, which are those of the published network.
    ///
    /// # Panics
    /// If a slice is not of the network's size, or a label is no class.
    pub fn gradient(&self, params: &[f32], pictures: &[f32], labels: &[usize], grad: &mut [f32]) -> Result<f64> {
        self.check(grad);
        let (device, classes) = (Device::flex().autodiff(), self.shape.classes);
        assert_eq!(pictures.len(), labels.len() * self.input(), "pictures of {} labels", labels.len());
        let leaves: Vec<Leaf> = self.leaves(params, &device).into_iter().map(Leaf::tracked).collect();
        let mut chosen = vec![0.0_f32; labels.len() * classes];
        for (row, label) in chosen.chunks_exact_mut(classes).zip(labels) {
            row[*label] = -1.0;
        }
        let chosen = matrix(chosen, labels.len(), &device);
        let loss = (activation::log_softmax(self.forward(&leaves, pictures, &device), 1) * chosen).sum();
        let mut all = loss.backward();
        grad.fill(0.0);
        for leaf in leaves {
            let slope = leaf.tensor.grad_remove(&mut all).ok_or(Error::Backend("a gradient"))?;
            grad[leaf.place].copy_from_slice(&numbers(slope, "a gradient")?);
        }
        let total = numbers(loss.inner(), "the loss")?;
        total.first().map(|loss| f64::from(*loss)).ok_or(Error::Backend("the loss"))
    }

    /// Overwrite `out` with the product of the loss's Hessian with `v`, by a central difference of gradients: Burn has no second derivatives.
    ///
    /// The step moves the parameters by 3e-5 of their own length. Measured against second differences in f64, the product is then good to
    /// 0.2 to 0.6 % of its length, which is the rounding of the gradients (ten times shorter steps: 2 to 9 %). A rectifier that switches
    /// inside the step adds the jump of its slope, which the Hessian, a derivative on one side of it, does not know; from steps of 3e-4 on
    /// these jumps are larger than all the rest.
    ///
    /// # Panics
    /// As [`ConvNet::gradient`].
    pub fn hessian_vector(
        &self,
        params: &[f32],
        v: &[f32],
        pictures: &[f32],
        labels: &[usize],
        out: &mut [f32],
    ) -> Result<()> {
        self.check(v);
        let length = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let size = length(v);
        if size == 0.0 {
            out.fill(0.0);
            return Ok(());
        }
        let step = STEP * length(params).max(1.0) / size;
        let moved = |sign: f64| -> Vec<f32> {
            params.iter().zip(v).map(|(p, v)| (f64::from(*p) + sign * step * f64::from(*v)) as f32).collect()
        };
        let mut below = vec![0.0; v.len()];
        self.gradient(&moved(1.0), pictures, labels, out)?;
        self.gradient(&moved(-1.0), pictures, labels, &mut below)?;
        let scale = 0.5 / step;
        out.iter_mut().zip(&below).for_each(|(o, b)| *o = (f64::from(*o - b) * scale) as f32);
        Ok(())
    }

    /// Parameters as matrices, in the order of their use.
    fn leaves(&self, params: &[f32], device: &Device) -> Vec<Leaf> {
        self.check(params);
        let leaf = |place: &Range<usize>, rows: usize| Leaf {
            tensor: matrix(params[place.clone()].to_vec(), rows, device),
            place: place.clone(),
        };
        let mut leaves = Vec::with_capacity(3 * LAYERS + 2);
        for layer in &self.layers {
            leaves.push(leaf(&layer.weights, PATCH * layer.inputs));
            leaves.extend([leaf(&layer.scale, 1), leaf(&layer.shift, 1)]);
        }
        leaves.extend([leaf(&self.head, self.flat()), leaf(&self.head_bias, 1)]);
        leaves
    }

    fn forward(&self, leaves: &[Leaf], pictures: &[f32], device: &Device) -> Tensor<2> {
        assert_eq!(pictures.len() % self.input(), 0, "numbers of whole pictures");
        let n = pictures.len() / self.input();
        let patches = self.patches(n);
        let mut hidden = None;
        for (l, (layer, leaf)) in self.layers.iter().zip(leaves.chunks_exact(3)).enumerate() {
            let rows = n * halved(layer.side).pow(2);
            let seen: Tensor<2> = match hidden {
                None => matrix(self.first_patches(pictures, n), rows, device),
                Some(hidden) => {
                    let outside = Tensor::zeros([1, layer.inputs], device);
                    let index = Tensor::<1, Int>::from_data(patches[l - 1].clone(), device);
                    Tensor::cat(vec![hidden, outside], 0).select(0, index).reshape([rows, PATCH * layer.inputs])
                }
            };
            let z = seen.matmul(leaf[0].tensor.clone());
            let centred = z.clone() - z.mean_dim(0);
            let variance = (centred.clone() * centred.clone()).mean_dim(0);
            let normal = centred * (variance + VARIANCE).sqrt().recip();
            hidden = Some(activation::relu(normal * leaf[1].tensor.clone() + leaf[2].tensor.clone()));
        }
        let hidden = hidden.unwrap_or_else(|| Tensor::zeros([n, self.flat()], device));
        let head = &leaves[3 * LAYERS..];
        hidden.reshape([n, self.flat()]).matmul(head[0].tensor.clone()) + head[1].tensor.clone()
    }

    /// What the first convolution sees of each of its outputs: no derivative goes through it, so Burn need not know.
    fn first_patches(&self, pictures: &[f32], n: usize) -> Vec<f32> {
        let channels = self.shape.channels;
        let outside = n * self.shape.side.pow(2);
        let pixel = |i: usize| if i == outside { None } else { Some(&pictures[i * channels..(i + 1) * channels]) };
        let zero = vec![0.0; channels];
        gathered(n, self.shape.side).into_iter().flat_map(|i| pixel(i).unwrap_or(&zero)).copied().collect()
    }

    fn patches(&self, n: usize) -> Arc<Vec<TensorData>> {
        let mut known = self.patches.lock().unwrap_or_else(PoisonError::into_inner);
        let make = |layer: &Layer| {
            let index: Vec<i32> = gathered(n, layer.side).into_iter().map(|i| i as i32).collect();
            let len = index.len();
            TensorData::new(index, [len])
        };
        known.entry(n).or_insert_with(|| Arc::new(self.layers[1..].iter().map(make).collect())).clone()
    }

    fn check(&self, params: &[f32]) {
        assert_eq!(params.len(), self.num_params(), "numbers given against parameters of a network {:?}", self.shape);
    }
}

/// Step of a difference of gradients, relative to the length of the parameters. See [`ConvNet::hessian_vector`].
const STEP: f64 = 3e-5;

/// A parameter tensor and its place among the flat ones.
struct Leaf {
    tensor: Tensor<2>,
    place: Range<usize>,
}

impl Leaf {
    fn tracked(self) -> Self {
        Self { tensor: self.tensor.require_grad(), ..self }
    }
}

/// Side after a convolution of stride 2 with 'same' padding.
fn halved(side: usize) -> usize {
    side.div_ceil(2)
}

/// For each output pixel of each of `n` pictures, the `PATCH` input pixels that it sees, by number over all pictures; one beyond the last
/// stands for what is outside.
fn gathered(n: usize, side: usize) -> Vec<usize> {
    let out = halved(side);
    let before = ((out - 1) * 2 + 3).saturating_sub(side) / 2;
    let at = |place: usize, offset: usize| (place * 2 + offset).checked_sub(before).filter(|i| *i < side);
    let mut index = Vec::with_capacity(n * out * out * PATCH);
    for picture in 0..n {
        for (y, x) in (0..out).flat_map(|y| (0..out).map(move |x| (y, x))) {
            for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
                let pixel = at(y, dy).zip(at(x, dx)).map(|(y, x)| (picture * side + y) * side + x);
                index.push(pixel.unwrap_or(n * side * side));
            }
        }
    }
    index
}

fn matrix(values: Vec<f32>, rows: usize, device: &Device) -> Tensor<2> {
    let columns = values.len() / rows;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>, what: &'static str) -> Result<Vec<f32>> {
    tensor.into_data().try_into_vec().map_err(|_| Error::Backend(what))
}

/// Each tensor is a block of memory of its own, freed soon. The C library of Linux gives large blocks back to the system at once and asks
/// for them anew, page by page: two thirds of the time of a gradient. Having once freed a block of nearly 32 MiB, it takes such sizes for
/// common and keeps them; elsewhere this does nothing.
fn keep_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(31 << 20))));
}
