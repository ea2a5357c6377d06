//! Speed of the network kernels against this machine's own peak: `cargo run --release -p tony-nn --example bench`.
//! One thread, or as many as the first argument says (`-- 2`); `TONY_SIMD=avx2` (or `portable`) shows another instruction set.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use tony_nn::{
    Activation, Adam, Cholesky, Init, Lstm, Mlp, Normaliser, Rows, Scratch, Sequences, Tape, Trace, Workspace,
    flop_count, machine_gflops, simd,
};
use tony_random::Stream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Seconds of one call, and its floating-point operations. The best of many rounds of 4 ms, so that a busy machine's pauses fall between.
fn time(mut call: impl FnMut()) -> (f64, f64) {
    call();
    let before = flop_count();
    let start = Instant::now();
    call();
    let (once, flops) = (start.elapsed().as_secs_f64(), (flop_count() - before) as f64);
    let repeats = (0.004 / once).ceil();
    let rounds = (0.25 / (repeats * once)).clamp(5.0, 60.0);
    let best = (0..rounds as u32).fold(f64::INFINITY, |best, _| {
        let start = Instant::now();
        (0..repeats as u32).for_each(|_| call());
        best.min(start.elapsed().as_secs_f64() / repeats)
    });
    (best, flops)
}

fn main() -> Result<(), Failure> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |threads| threads.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(|| run(threads))
}

fn run(threads: usize) -> Result<(), Failure> {
    let peak = machine_gflops(threads);
    println!("{:?}, {threads} threads, peak {peak:.1} GFLOP/s", simd::path());
    println!("{:<16}{:>7}  {:<22}{:>12}{:>10}{:>8}", "network", "rows", "what", "us", "GFLOP/s", "% peak");
    for (sizes, rows) in [[60, 64, 64, 2], [60, 256, 256, 2]].iter().flat_map(|s| [1, 64, 20_000].map(|n| (s, n))) {
        let mlp = Mlp::new(sizes, Activation::Tanh)?;
        let mut stream = Stream::new(0, "bench", 0);
        let mut params = vec![0.0; mlp.num_params()];
        mlp.init(&mut params, Init::KaimingUniform, &mut stream);
        let data: Vec<f32> = (0..rows * mlp.input()).map(|_| stream.normal() as f32).collect();
        let mut normaliser = Normaliser::new(mlp.input(), 5.0);
        normaliser.update(&data);
        let mut index: Vec<u32> = (0..rows as u32).collect();
        stream.shuffle(&mut index);
        let x = Rows { data: &data, width: mlp.input(), index: Some(&index), normaliser: Some(&normaliser) };
        let mut y = vec![0.0; rows * mlp.output()];
        let (mut grad, v) = (vec![0.0; params.len()], params.clone());
        let (mut work, mut scratch) = (Workspace::default(), Scratch::default());
        let mut adam = Adam::new(params.len(), 0.9, 0.999, 1e-8);
        let report = |what: &str, (seconds, flops): (f64, f64)| {
            let gflops = flops / seconds * 1e-9;
            let share = 100.0 * gflops / peak;
            println!(
                "{:<16}{rows:>7}  {what:<22}{:>12.2}{gflops:>10.1}{share:>8.1}",
                format!("{sizes:?}"),
                seconds * 1e6
            );
        };
        let head = |_: usize, y: &[f32], dy: &mut [f32], _: &mut [f64]| dy.copy_from_slice(y);
        let metric = |_: usize, _: &[f32], jv: &mut [f32], _: &mut [f64]| jv.iter_mut().for_each(|jv| *jv *= 0.5);
        if rows == 1 {
            report("forward_row", time(|| mlp.forward_row(&params, &data, black_box(&mut y), &mut scratch)));
        }
        report("forward", time(|| mlp.forward(&params, &x, black_box(&mut y))));
        report("gradient", time(|| mlp.gradient(&params, &x, &head, black_box(&mut grad), &mut [], &mut work)));
        let step = time(|| {
            mlp.gradient(&params, &x, &head, &mut grad, &mut [], &mut work);
            adam.step(&mut params, black_box(&grad), 1e-12);
        });
        report("gradient + Adam", step);
        report(
            "gauss_newton",
            time(|| mlp.gauss_newton(&params, &v, &x, &metric, black_box(&mut grad), &mut [], &mut work)),
        );
        if rows == 1 {
            report("Adam", time(|| adam.step(&mut params, black_box(&grad), 1e-12)));
        }
    }
    off_policy(peak)?;
    recurrent(peak)
}

/// What a gradient step of off-policy learning is made of: 256 rows of a state-action value with two layers of 256.
fn off_policy(peak: f64) -> Result<(), Failure> {
    let (rows, mut stream) = (256, Stream::new(1, "bench", 0));
    for activation in [Activation::Relu, Activation::Sin] {
        let mlp = Mlp::new(&[23, 256, 256, 1], activation)?;
        let mut params = vec![0.0; mlp.num_params()];
        mlp.init(&mut params, Init::KaimingUniform, &mut stream);
        let data: Vec<f32> = (0..rows * mlp.input()).map(|_| stream.normal() as f32).collect();
        let x = Rows::all(&data, mlp.input());
        let (mut y, mut dx, dy) = (vec![0.0; rows], vec![0.0; rows * mlp.input()], vec![1.0; rows]);
        let (mut grad, mut kernel, mut trace) = (vec![0.0; params.len()], vec![0.0; rows * rows], Trace::default());
        let mut target = params.clone();
        let report = |what: &str, (seconds, flops): (f64, f64)| {
            let gflops = flops / seconds * 1e-9;
            let share = 100.0 * gflops / peak;
            println!(
                "{:<16}{rows:>7}  {what:<22}{:>12.2}{gflops:>10.1}{share:>8.1}",
                format!("{activation:?}"),
                seconds * 1e6
            );
        };
        report("kept forward", time(|| trace.forward(&mlp, &params, &x, black_box(&mut y))));
        report("kept backward", time(|| trace.backward(&mlp, &params, &dy)));
        report("kept input gradient", time(|| trace.input_gradient(&mlp, &params, black_box(&mut dx))));
        report("kept gradient", time(|| trace.gradient(&mlp, None, black_box(&mut grad))));
        report("kept J' z", time(|| trace.gradient(&mlp, Some(&dy), black_box(&mut grad))));
        report("kernel J J'", time(|| trace.kernel(&mlp, black_box(&mut kernel))));
        let damping = 1e-3 * kernel.iter().step_by(rows + 1).sum::<f64>() / rows as f64;
        report("Cholesky, f64", time(|| drop(black_box(Cholesky::new(&kernel, rows, damping)))));
        if let Some(factor) = Cholesky::new(&kernel, rows, damping) {
            let mut z = vec![1.0; rows];
            report("its solution", time(|| factor.solve(black_box(&mut z))));
        }
        report("Polyak average", time(|| tony_nn::polyak(0.005, &params, black_box(&mut target))));
    }
    Ok(())
}

/// An LSTM layer over sequences of 65 steps, for as many sequences as the first column says.
fn recurrent(peak: f64) -> Result<(), Failure> {
    let lstm = Lstm::new(34, 64)?;
    let mut stream = Stream::new(0, "bench", 1);
    let mut params = vec![0.0; lstm.num_params()];
    lstm.init(&mut params, &mut stream);
    let (mut tape, mut scratch) = (Tape::default(), Scratch::default());
    let (mut grad, mut state) = (vec![0.0; params.len()], vec![0.0; lstm.state_len()]);
    for n in [1, 64, 200, 1_000] {
        let lengths = vec![65; n];
        let x: Vec<f32> = (0..65 * n * lstm.inputs()).map(|_| stream.normal() as f32).collect();
        let (mut h, mut dx) = (vec![0.0; 65 * n * lstm.hidden()], vec![0.0; x.len()]);
        let dh = h.iter().map(|_| stream.normal() as f32).collect::<Vec<_>>();
        let sequences = Sequences { x: &x, lengths: &lengths, start: None, reverse: false };
        let report = |what: &str, (seconds, flops): (f64, f64)| {
            let gflops = flops / seconds * 1e-9;
            let (us, share) = (seconds * 1e6, 100.0 * gflops / peak);
            println!("{:<16}{n:>7}  {what:<22}{us:>12.2}{gflops:>10.1}{share:>8.1}", "LSTM 34, 64");
        };
        if n == 1 {
            report("step", time(|| lstm.step(&params, &x[..34], black_box(&mut state), &mut scratch)));
        }
        report("forward", time(|| lstm.forward(&params, &sequences, black_box(&mut h), &mut tape)));
        let both = time(|| {
            lstm.forward(&params, &sequences, &mut h, &mut tape);
            lstm.backward(&params, &dh, black_box(&mut grad), Some(&mut dx), &mut tape);
        });
        report("forward + backward", both);
    }
    Ok(())
}
