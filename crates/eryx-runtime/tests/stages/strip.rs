//! Code and initial memory, taken apart.

use eryx_runtime::constant::Constant;
use eryx_runtime::module::Module;
use eryx_runtime::strip::strip;
use wasm_encoder::{
    ConstExpr, CustomSection, DataCountSection, DataSection, ExportKind, ExportSection,
    GlobalSection, Module as Encoder,
};
use wasmparser::{Parser, Payload};

use crate::modules::{i32_global, one_page};

fn module(data: &DataSection) -> Vec<u8> {
    let mut globals = GlobalSection::new();
    globals.global(i32_global(true), &ConstExpr::i32_const(7));
    globals.global(i32_global(false), &ConstExpr::i32_const(8));
    globals.global(i32_global(true), &ConstExpr::global_get(1));
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0).export(
        "__stack_pointer",
        ExportKind::Global,
        0,
    );
    let note = CustomSection {
        name: "note".into(),
        data: b"x".as_slice().into(),
    };
    let mut module = Encoder::new();
    module
        .section(&one_page())
        .section(&globals)
        .section(&exports)
        .section(&DataCountSection { count: data.len() })
        .section(data)
        .section(&note);
    module.finish()
}

#[test]
fn data_segments_become_the_image() {
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(10), *b"abc");
    data.active(
        0,
        &ConstExpr::i32_const(8).with_i32_const(4).with_i32_add(),
        *b"xy",
    );
    let stripped = strip(&module(&data)).expect("it can be taken apart");
    assert_eq!(stripped.image.len(), 65536);
    assert_eq!(&stripped.image[8..16], b"\0\0abxy\0\0");
    for payload in Parser::new(0).parse_all(&stripped.wasm) {
        let payload = payload.expect("a module");
        let state = matches!(
            payload,
            Payload::DataSection(_) | Payload::DataCountSection { .. } | Payload::CustomSection(_)
        );
        assert!(!state, "{payload:?}");
    }
}

#[test]
fn every_mutable_global_is_exported() {
    let stripped = strip(&module(&DataSection::new())).expect("it can be taken apart");
    let seen: Vec<_> = stripped
        .globals
        .iter()
        .map(|global| {
            (
                global.export.as_str(),
                global.name.as_deref(),
                global.initial,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("__mg0", Some("__stack_pointer"), Constant::I32(7)),
            ("__mg2", None, Constant::I32(8)),
        ]
    );
    let module = Module::parse(&stripped.wasm).expect("a module");
    assert_eq!(module.exports["__mg0"].index, 0);
    assert_eq!(module.exports["__mg2"].index, 2);
    assert_eq!(module.exports["__stack_pointer"].index, 0);
}

#[test]
fn state_that_an_image_cannot_hold_is_an_error() {
    let mut passive = DataSection::new();
    passive.passive(*b"abc");
    let mut outside = DataSection::new();
    outside.active(0, &ConstExpr::i32_const(65534), *b"abc");
    for (data, reason) in [
        (passive, "the module has a passive data segment"),
        (outside, "a data segment at 65534 is outside the memory"),
    ] {
        let error = strip(&module(&data)).expect_err(reason);
        assert_eq!(error.to_string(), reason);
    }
}
