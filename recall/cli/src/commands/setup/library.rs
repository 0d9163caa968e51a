//! The ONNX Runtime library: found on this machine, or fetched as a Python package.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use harness_index::embed::OnnxRuntime;
use harness_index::embed::source::extract;
use harness_recall::models::{RUNTIME_FOLDER, choose_library};

use super::catalogue::Package;
use super::pip::Pip;
use crate::app::App;
use crate::render::bytes;
use crate::report::{self, Advice};

/// The library's licence.
const LICENCE: &str = "MIT";

/// The package of this platform, for any Python: one of them is as good as another to unpack the library from.
const PACKAGE: Option<&Package> = package();

const fn package() -> Option<&'static Package> {
    macro_rules! wheel {
        ($platform:literal, $bytes:literal, $sha256:literal) => {
            Some(&Package {
                name: "onnxruntime",
                version: "1.31.1",
                bytes: $bytes,
                sha256: $sha256,
                target: &[
                    "--python-version",
                    "3.11",
                    "--implementation",
                    "cp",
                    "--abi",
                    "cp311",
                    "--platform",
                    $platform,
                ],
            })
        };
    }
    if cfg!(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")) {
        return wheel!(
            "manylinux_2_28_x86_64",
            23_753_652,
            "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f"
        );
    }
    if cfg!(all(target_os = "linux", target_env = "gnu", target_arch = "aarch64")) {
        return wheel!(
            "manylinux_2_28_aarch64",
            21_413_526,
            "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3"
        );
    }
    if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
        return wheel!(
            "macosx_14_0_arm64",
            20_871_676,
            "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7"
        );
    }
    if cfg!(all(target_os = "windows", target_arch = "x86_64")) {
        return wheel!("win_amd64", 14_885_761, "c3d91b5de31e2fc82d71bd65b2b22bddee8b49057a3a36338e9a868e0ea90c05");
    }
    None
}

/// Whether a file's name is that of the library.
fn is_library(name: &str) -> bool {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match std::env::consts::OS {
        "windows" => file.eq_ignore_ascii_case("onnxruntime.dll"),
        "macos" => file.starts_with("libonnxruntime.") && file.ends_with(".dylib"),
        _ => file == "libonnxruntime.so" || file.starts_with("libonnxruntime.so."),
    }
}

/// Where a library may be, in order: what the environment names, the home, an active Python environment, the system.
fn places(home: &Path, said: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let path = |name: &str| said(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut places: Vec<PathBuf> = path("ORT_DYLIB_PATH").into_iter().collect();
    places.extend(libraries_in(&home.join(RUNTIME_FOLDER)));
    for prefix in ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(path) {
        let mut packages = vec![prefix.join("Lib").join("site-packages")];
        packages.extend(entries(&prefix.join("lib")).into_iter().map(|python| python.join("site-packages")));
        places.extend(packages.iter().flat_map(|folder| libraries_in(&folder.join("onnxruntime").join("capi"))));
    }
    let names: &[&str] = match std::env::consts::OS {
        // Windows has an old one of its own in its system folder, which the loader would find first.
        "windows" => &[],
        "macos" => &["libonnxruntime.dylib"],
        _ => &["libonnxruntime.so", "libonnxruntime.so.1"],
    };
    places.extend(names.iter().map(PathBuf::from));
    places
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let is_library = |path: &PathBuf| path.file_name().is_some_and(|name| is_library(&name.to_string_lossy()));
    entries(folder).into_iter().filter(is_library).collect()
}

/// A library that loads, put in use for this home; where it is, and how many bytes were fetched for it.
pub(super) fn provide(app: &App, offline: bool, patience: Duration) -> anyhow::Result<(PathBuf, u64)> {
    let put_in_use = |runtime: OnnxRuntime| {
        choose_library(&app.home, runtime.path()).context("cannot put ONNX Runtime in use")?;
        Ok::<_, anyhow::Error>(runtime.path().to_owned())
    };
    for place in places(&app.home, &|name| std::env::var_os(name)) {
        match OnnxRuntime::load(&place) {
            Ok(runtime) => {
                report::line(&format!("ONNX Runtime is here already: {}", runtime.path().display()));
                return Ok((put_in_use(runtime)?, 0));
            }
            Err(error) => tracing::info!("{error}"),
        }
    }
    let hint = "install Python's onnxruntime and name its library in ORT_DYLIB_PATH";
    let package = PACKAGE.filter(|_| !offline).ok_or_else(|| {
        let why = if offline { "--offline forbids to fetch it" } else { "there is no package of it for this platform" };
        Advice::error(format!("there is no ONNX Runtime on this machine, and {why}"), hint)
    })?;
    report::line(&format!(
        "fetching ONNX Runtime ({LICENCE}): the Python package {} {}, {}, through pip from its package index",
        package.name,
        package.version,
        bytes(package.bytes)
    ));
    let folder = app.home.join(RUNTIME_FOLDER);
    let downloads = folder.join(".download");
    let wheel = Pip::find()?.download(package, &downloads, patience)?;
    let name = match std::env::consts::OS {
        "windows" => "onnxruntime.dll",
        "macos" => "libonnxruntime.1.31.1.dylib",
        _ => "libonnxruntime.so.1.31.1",
    };
    let target = folder.join(name);
    extract(&wheel, &is_library, &target).context("the package holds no library")?;
    if let Err(error) = std::fs::remove_dir_all(&downloads) {
        tracing::info!("cannot remove {}: {error}", downloads.display());
    }
    let runtime = OnnxRuntime::load(&target).context("the fetched library does not load")?;
    Ok((put_in_use(runtime)?, package.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_library_is_looked_for_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (home, python) = (folder.path().join("home"), folder.path().join("venv"));
        let capi = python.join("lib/python3.11/site-packages/onnxruntime/capi");
        for (folder, name) in
            [(home.join("runtime"), "libonnxruntime.so.1.31.1"), (capi.clone(), "libonnxruntime.so.1.20.0")]
        {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), "").unwrap();
            std::fs::write(folder.join("libonnxruntime_providers_shared.so"), "").unwrap();
        }
        let said = |name: &str| match name {
            "ORT_DYLIB_PATH" => Some("/opt/ort.so".into()),
            "VIRTUAL_ENV" => Some(python.clone().into()),
            _ => None,
        };
        let expected = [
            "/opt/ort.so".into(),
            home.join("runtime/libonnxruntime.so.1.31.1"),
            capi.join("libonnxruntime.so.1.20.0"),
            "libonnxruntime.so".into(),
            "libonnxruntime.so.1".into(),
        ];
        assert_eq!(places(&home, &said), expected);
    }
}
