//! Compare an environment with recordings of its reference: `cargo run --example golden -- LIBRARY ENV FILE...`
#![allow(clippy::print_stdout)]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [library, env, files @ ..] = words.as_slice() else { return Err("usage: golden LIBRARY ENV FILE...".into()) };
    let context = tony_env::Context { library: Some(tony_mujoco::Library::open(library.as_ref())?) };
    let files: Vec<_> = files.iter().map(Into::into).collect();
    println!("{}", serde_json::to_string_pretty(&tony_env::golden::compare(env, &files, None, &context)?)?);
    Ok(())
}
