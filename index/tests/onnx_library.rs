//! A library that is no ONNX Runtime; a process of its own, because a loaded one stays.

#![allow(clippy::unwrap_used)]

use harness_index::embed::{Error, OnnxRuntime};

#[test]
fn a_missing_or_foreign_library_is_an_error_that_names_it_and_another_may_be_tried() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("libonnxruntime.so");
    let foreign = folder.path().join("libother.so");
    std::fs::write(&foreign, "not a library").unwrap();
    for path in [&missing, &foreign] {
        match OnnxRuntime::load(path) {
            Err(Error::Library { path: named, .. }) => assert_eq!(named, *path),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{} was loaded", path.display()),
        }
    }
    if let Some(real) = std::env::var_os("HARNESS_TEST_ONNXRUNTIME") {
        assert_eq!(OnnxRuntime::load(real.as_ref()).unwrap().path(), real);
    }
}
