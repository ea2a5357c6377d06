//! Temporary.
use std::time::Instant;
use tony_deep::decoder::*;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (v[11].parse::<f64>().unwrap() + v[12].parse::<f64>().unwrap()) / 100.0
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let adaptation = if a[2] == "full" { Adaptation::Full } else { Adaptation::LowRank { rank: 16, alpha: 32.0 } };
    let n: usize = a[3].parse().unwrap();
    let (mut network, params) =
        Network::open(&ModelFile::open(std::path::Path::new(&a[1])).unwrap(), adaptation, 0).unwrap();
    network.recompute = a.get(4).is_some();
    let texts: Vec<Vec<u32>> = (0..4).map(|i| (0..n as u32).map(|j| (j * 37 + i * 11) % 40000).collect()).collect();
    let sequences: Vec<Sequence> = texts.iter().map(|tokens| Sequence { tokens, from: 1 }).collect();
    let mut grad = vec![0.0; params.len()];
    for _ in 0..2 {
        let peak = tony_nn::machine_gflops(1);
        let (t, c) = (Instant::now(), cpu());
        network.scores(&params, &sequences).unwrap();
        let (ts, cs) = (t.elapsed().as_secs_f64(), cpu() - c);
        let (t, c) = (Instant::now(), cpu());
        network.gradient(&params, &sequences, &|_, _, _| 1.0, 0.0, &mut grad).unwrap();
        let (tg, cg) = (t.elapsed().as_secs_f64(), cpu() - c);
        let flops = network.flops_per_token() as f64 * (4 * n) as f64;
        println!(
            "peak {peak:.0}/core; scores {ts:.2}s wall {cs:.2} cpu; gradient {tg:.2}s wall, {cg:.2} cpu: {:.1} GFLOP/s per cpu-second = {:.0}% of peak; {:.0} tokens/s wall",
            flops / cg / 1e9,
            100.0 * flops / cg / 1e9 / peak,
            (4 * n) as f64 / tg
        );
    }
    let m = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", m.lines().find(|l| l.starts_with("VmHWM")).unwrap());
}
