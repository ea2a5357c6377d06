//! Runs the tests of the package, which are written in Python, on what was just built. Where `TONY_PYTHON` names no Python with
//! gymnasium and numpy, they are skipped with a line that says so.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

#[test]
fn the_package_passes_its_own_tests() {
    let python = std::env::var("TONY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has = Command::new(&python).args(["-c", "import gymnasium, numpy"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: TONY_PYTHON is no Python with gymnasium and numpy");
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("tony_rl");
    std::fs::create_dir(&package).unwrap();
    for entry in std::fs::read_dir(here.join("python/tony_rl")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "py") {
            std::fs::copy(&path, package.join(path.file_name().unwrap())).unwrap();
        }
    }
    // Cargo lays the library beside the tests that it was built for.
    let built = std::env::current_exe().unwrap().with_file_name("lib_tony.so");
    std::fs::copy(built, package.join("_tony.abi3.so")).unwrap();
    let status = Command::new(&python)
        .args(["-W", "error::ResourceWarning", "-m", "unittest", "discover", "--pattern", "test_*.py"])
        .arg("--start-directory")
        .arg(here.join("tests"))
        .env("PYTHONPATH", folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status();
    assert!(status.unwrap().success());
}
