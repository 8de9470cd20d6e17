//! Where the program under test is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The gateway's program: named by `GATEWAY_BIN`, or built once for this test run.
pub(crate) fn gateway() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("GATEWAY_BIN") {
        Some(program) => program.into(),
        None => build(),
    })
}

/// Runs the program with these arguments and this on its standard input, to its end.
pub fn run_gateway(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(gateway());
    command.args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("run the gateway");
    let mut pipe = process.stdin.take().expect("a pipe");
    // It may have ended without reading.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    process.wait_with_output().expect("the gateway's output")
}

fn build() -> PathBuf {
    // <target>/<profile>/deps/<this test>
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(Path::parent).expect("a profile's directory");
    let target = profile.parent().expect("a target directory");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "gateway-bin", "--bin", "gateway"]);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let status = command.arg("--target-dir").arg(target).status().expect("run cargo");
    assert!(status.success(), "cargo could not build gateway-bin");
    profile.join("gateway")
}
