//! Pickles become data; whatever else the bytes are, they are an error.

use proptest::prelude::*;

use super::*;

fn parse(bytes: &[u8]) -> Pickle {
    Pickle::parse(bytes).unwrap()
}

fn error(bytes: &[u8]) -> String {
    Pickle::parse(bytes).unwrap_err().to_string()
}

#[test]
fn numbers_of_every_width() {
    let cases: [(&[u8], Kind<'static>); 14] = [
        (b"N.", Kind::None),
        (b"\x88.", Kind::Bool(true)),
        (b"\x89.", Kind::Bool(false)),
        (b"K\xff.", Kind::Int(255)),
        (b"M\x01\x02.", Kind::Int(0x201)),
        (b"J\xfe\xff\xff\xff.", Kind::Int(-2)),
        (b"\x8a\x00.", Kind::Int(0)),
        (b"\x8a\x01\x80.", Kind::Int(-128)),
        (b"\x8a\x05\x00\x00\x00\x00\x01.", Kind::Int(1 << 32)),
        (
            b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.",
            Kind::Int(i64::MIN),
        ),
        (
            b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.",
            Kind::BigInt,
        ),
        (b"\x8b\x01\x00\x00\x00\x07.", Kind::Int(7)),
        (b"G\x3f\xf8\x00\x00\x00\x00\x00\x00.", Kind::Float(1.5)),
        (b"(0K\x01.", Kind::Int(1)),
    ];
    for (bytes, kind) in cases {
        assert_eq!(parse(bytes).root().kind(), kind, "{bytes:?}");
    }
}

#[test]
fn text_and_bytes_of_every_width() {
    for bytes in [
        &b"U\x02hi."[..],
        b"T\x02\0\0\0hi.",
        b"\x8c\x02hi.",
        b"X\x02\0\0\0hi.",
        b"\x8d\x02\0\0\0\0\0\0\0hi.",
    ] {
        assert_eq!(parse(bytes).root().as_str(), Some("hi"));
    }
    for bytes in [
        &b"C\x02\0\xff."[..],
        b"B\x02\0\0\0\0\xff.",
        b"\x8e\x02\0\0\0\0\0\0\0\0\xff.",
        b"\x96\x02\0\0\0\0\0\0\0\0\xff.",
    ] {
        assert_eq!(parse(bytes).root().kind(), Kind::Bytes(b"\0\xff"));
    }
    // A lone surrogate, as Python writes it.
    let pickle = parse(b"\x8c\x04a\xed\xb3\xa9.");
    assert!(pickle.root().as_str().unwrap().starts_with('a'));
}

#[test]
fn text_of_protocols_0_and_1() {
    let numbers: [(&[u8], Kind<'static>); 8] = [
        (b"I00\n.", Kind::Bool(false)),
        (b"I01\n.", Kind::Bool(true)),
        (b"I-5\n.", Kind::Int(-5)),
        (b"L7L\n.", Kind::Int(7)),
        (b"I9223372036854775808\n.", Kind::BigInt),
        (b"L119547037146038801333356L\n.", Kind::BigInt),
        (b"F1.5\n.", Kind::Float(1.5)),
        (b"F-inf\n.", Kind::Float(f64::NEG_INFINITY)),
    ];
    for (bytes, kind) in numbers {
        assert_eq!(parse(bytes).root().kind(), kind, "{bytes:?}");
    }
    for (bytes, text) in [
        (&b"S'a\\'b\\n\\x41'\n."[..], "a'b\nA"),
        (b"S\"a'b\"\n.", "a'b"),
        (b"Va\\u000ab\\U0001f600\xe9\\z\n.", "a\nb\u{1f600}\u{e9}\\z"),
    ] {
        assert_eq!(parse(bytes).root().as_str(), Some(text), "{bytes:?}");
    }
    // A dictionary that holds itself, through the memo; an old-style instance, both ways.
    let pickle = parse(b"(dp3\nVa\ng3\ns.");
    assert!(pickle.root().get("a").unwrap().get("a").is_some());
    for bytes in [&b"(I1\nim\nC\n."[..], b"(cm\nC\nI1\no."] {
        let pickle = parse(bytes);
        let root = pickle.root();
        assert_eq!(root.function().unwrap().path(), Some(("m", "C")));
        assert_eq!(root.arguments().unwrap().items().len(), 1);
    }
    assert_eq!(parse(b"Pkey\n.").root().kind(), Kind::Persistent);
}

#[test]
fn containers() {
    let ints = |node: Node<'_>| node.items().filter_map(Node::as_int).collect::<Vec<_>>();
    let cases: [(&[u8], Kind<'static>, &[i64]); 9] = [
        (b").", Kind::Tuple, &[]),
        (b"(K\x01K\x02t.", Kind::Tuple, &[1, 2]),
        (b"K\x01\x85.", Kind::Tuple, &[1]),
        (b"K\x01K\x02\x86.", Kind::Tuple, &[1, 2]),
        (b"K\x01K\x02K\x03\x87.", Kind::Tuple, &[1, 2, 3]),
        (b"]K\x01a(K\x02K\x03e.", Kind::List, &[1, 2, 3]),
        (b"(K\x01l.", Kind::List, &[1]),
        (b"\x8f(K\x01K\x02\x90.", Kind::Set, &[1, 2]),
        (b"(K\x01\x91.", Kind::Set, &[1]),
    ];
    for (bytes, kind, items) in cases {
        let pickle = parse(bytes);
        assert_eq!(pickle.root().kind(), kind);
        assert_eq!(ints(pickle.root()), items);
    }
    for bytes in [
        &b"}\x8c\x01aK\x01s."[..],
        b"}(\x8c\x01aK\x00\x8c\x01aK\x01u.",
        b"(\x8c\x01aK\x01d.",
    ] {
        let pickle = parse(bytes);
        assert_eq!(pickle.root().get("a").unwrap().as_int(), Some(1));
        assert!(pickle.root().get("b").is_none());
    }
}

#[test]
fn calls_are_recorded_and_not_made() {
    let bytes = b"cos\nsystem\n\x8c\x04ls /\x85R}\x8c\x01xK\x05sb.";
    let pickle = parse(bytes);
    let root = pickle.root();
    assert_eq!(root.kind(), Kind::Instance);
    assert_eq!(root.function().unwrap().path(), Some(("os", "system")));
    let arguments: Vec<_> = root
        .arguments()
        .unwrap()
        .items()
        .map(|a| a.as_str())
        .collect();
    assert_eq!(arguments, [Some("ls /")]);
    assert_eq!(root.state().unwrap().get("x").unwrap().as_int(), Some(5));
    assert_eq!(root.to_string(), "a os.system");
    assert!(!root.is_mapping());

    for bytes in [
        &b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R\x8c\x01aK\x01s."[..],
        b"ccollections\nOrderedDict\n)\x81\x8c\x01aK\x01s.",
        b"ccollections\nOrderedDict\n)}\x92\x8c\x01aK\x01s.",
    ] {
        let pickle = parse(bytes);
        assert!(pickle.root().is_mapping());
        assert_eq!(pickle.root().get("a").unwrap().as_int(), Some(1));
    }
}

#[test]
fn objects_can_be_shared_and_contain_themselves() {
    // a = [1]; a.append(a); (a, a), with each way to number the memo.
    for bytes in [
        &b"]q\x07K\x01ah\x07ah\x07\x86."[..],
        b"]r\x07\0\0\0K\x01aj\x07\0\0\0aj\x07\0\0\0\x86.",
        b"]\x94K\x01ah\0ah\0\x86.",
        b"]q\x07K\x01a2ah\x07\x86.",
    ] {
        let pickle = parse(bytes);
        let first = pickle.root().items().next().unwrap();
        assert_eq!(first.items().len(), 2);
        let inner = first.items().last().unwrap();
        assert_eq!(inner.items().len(), 2);
    }
}

#[test]
fn malformed_pickles_are_refused() {
    let cases: [(&[u8], &str); 17] = [
        (b"", "byte 0 of the pickle: the data end too early"),
        (b"K\x01", "byte 2 of the pickle: the data end too early"),
        (
            b"K\x01X\xff\xff\xff\xffabc",
            "byte 2 of the pickle: the data end too early",
        ),
        (
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
            "byte 0 of the pickle: the data end too early",
        ),
        (
            b"cos\nsystem",
            "byte 0 of the pickle: the data end too early",
        ),
        (b".", "byte 0 of the pickle: the stack is empty"),
        (b"t", "byte 0 of the pickle: the stack is empty"),
        (b"K\x01(\x85.", "byte 3 of the pickle: the stack is empty"),
        (
            b"\x80\x06",
            "byte 0 of the pickle: unsupported protocol 6; 0 to 5 are supported",
        ),
        (b"Ix\n.", "byte 0 of the pickle: expected an integer"),
        (
            b"Sx\n.",
            "byte 0 of the pickle: expected a string between quotes",
        ),
        (
            b"\x82\x01.",
            "byte 0 of the pickle: unsupported opcode 0x82",
        ),
        (
            b"h\x05.",
            "byte 0 of the pickle: nothing was stored under the number 5",
        ),
        (b"K\x01K\x02a.", "byte 4 of the pickle: expected an object"),
        (b")K\x02a.", "byte 3 of the pickle: expected a list or set"),
        (
            b"}(K\x02u.",
            "byte 4 of the pickle: expected a value for each key",
        ),
        (
            b"K\x01\x8c\x01a\x93.",
            "byte 5 of the pickle: expected a string",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn endless_pickles_are_cut_off() {
    let bytes = vec![opcode::EMPTY_LIST; Pickle::MAX_STEPS + 1];
    assert_eq!(
        error(&bytes),
        "byte 2000000 of the pickle: more than 2000000 opcodes"
    );
}

proptest! {
    #[test]
    fn any_bytes_give_data_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Pickle::parse(&bytes);
    }

    /// Only opcodes, so that more of them get far.
    #[test]
    fn any_opcodes_give_data_or_an_error(
        choices in prop::collection::vec(prop::sample::select(
            &b"(012.NIL0\nFSVPpgioKq\x94h)t\x85\x86\x87]lae}dsu\x8f\x90\x91\x93R\x81\x92bQ\x8c\x00\x01"[..]
        ), 0..300)
    ) {
        if let Ok(pickle) = Pickle::parse(&choices) {
            let root = pickle.root();
            let _ = (root.to_string(), root.items().len(), root.entries().len());
            prop_assert!(pickle.objects.len() <= 3 * choices.len());
        }
    }
}
