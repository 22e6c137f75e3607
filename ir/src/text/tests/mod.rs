//! Texts print and parse back; what is no text is refused with a place, never with a panic.

use super::payload::prototypes;
use super::{graphviz, parse};
use crate::dtype::DType;
use crate::graph::Graph;
use proptest::prelude::*;
use proptest::sample::Index;

/// One line for each op, in printed form.
const EVERY_OP: &str = include_str!("every_op.txt");

#[test]
fn every_op_parses_back() {
    let function = parse(EVERY_OP).unwrap();
    assert_eq!(function.to_string(), EVERY_OP);
    assert_eq!(parse(&function.to_string()).unwrap(), function);
    for op in prototypes() {
        let line = format!(" = {} ", op.name());
        assert!(EVERY_OP.contains(&line), "{} is not in the text", op.name());
    }
}

#[test]
fn names_of_ops_are_distinct() {
    let mut names: Vec<_> = prototypes().iter().map(|op| op.name()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn built_functions_parse_back() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [2, 3]);
    let w = g.parameter("w", DType::F32, [3, 4]);
    let y = g.in_new_region(|| x.matmul(w).softmax());
    let function = g.function([("loss", y.sum(..).id())], [(w.id(), (w * 0.99).id())]);
    assert_eq!(parse(&function.to_string()).unwrap(), function);
}

#[test]
fn names_are_free_and_comments_ignored() {
    let text = "# a comment\n\n%in = input \"x\" : f32[] # another\noutput \"y\" %in\n";
    let printed = parse(text).unwrap().to_string();
    assert_eq!(printed, "%0 = input \"x\" : f32[]\noutput \"y\" %0\n");
}

#[test]
fn errors_name_the_place_and_what_was_expected() {
    let mut report = String::new();
    for wrong in [
        "%1 = frob %0 : f32[]",
        "%1 = neg %0",
        "%1 neg %0 : f32[2,3]",
        "%1 = neg %7 : f32[2,3]",
        "%1 = neg %0 : f32[3,2]",
        "%1 = sum %0 : f32[2]",
        "%1 = sum %0 axes=[2] : f32[2]",
        "%1 = sum %0 axes=[1 : f32[2]",
        "%1 = add %0 : f32[2,3]",
        "%0 = neg %0 : f32[2,3]",
        "%1 = neg %0 : f32[2,3]",
        "%1 = constant 1 : bool[]",
        "%1 = constant 300 : u8[]",
        "%1 = constant [1.0] : f32[2]",
        "%1 = constant hex \"0\" : u8[1]",
        "%1 = input \"x\" : f32[2]",
        "%1 = input \"x : f32[2]",
        "%1 = input \"\\q\" : f32[2]",
        "%1 = reshape %0 : f64[6]",
        "%1 = reshape %0 : f32[6,]",
        "%1 = neg %0 : f32[2,3] ;",
        "%1 = neg %0 : f32[2,3] 1",
        "%1 = neg %0 region=4294967296 : f32[2,3]",
        "update %0 <- %0",
        "output \"y\" %0\noutput \"y\" %0",
        "print %0",
        "%1 = constant 1.0 : f32[3]\n\
         %2 = layer_norm %0, %1, %1 epsilon=1e-5 : (f32[2,3], f32[2], f32[2])\n\
         output \"z\" %2",
    ] {
        let text = format!("%0 = input \"x\" : f32[2,3]\n{wrong}");
        let error = parse(&text).unwrap_err();
        report += &format!("{wrong}\n    {error}\n\n");
    }
    insta::assert_snapshot!(report);
}

#[test]
fn huge_sizes_are_refused_without_being_allocated() {
    for text in [
        "%0 = constant 0.0 : f32[4294967296,4294967296]",
        "%0 = constant 0.0 : f32[0,18446744073709551615]",
        "%0 = constant [] : f32[281474976710656]",
        "%0 = input \"x\" : f32[99999999999999999999999]",
        "%0 = constant 0.0 : f32[1]\n%1 = window %0 axis=0 size=281474976710656 stride=1 \
         dilation=281474976710656 : f32[1,1]",
        "%0 = constant 0.0 : f32[281474976710656]\n%1 = constant 0.0 : f32[]\n%2 = pad %0, %1 \
         padding=[(1,1,281474976710656)] : f32[1]",
        "%0 = constant 0.0 : f32[16777216,1]\n%1 = dot_general %0, %0 batch=[] \
         contract=[(1,1)] : f32[16777216,16777216]\n%2 = dot_general %1, %1 batch=[] \
         contract=[] : f32[1]",
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.line >= 1 && error.column >= 1, "{text}\n{error}");
    }
}

#[test]
fn regions_are_boxes_in_the_drawing() {
    let text = "%0 = parameter \"w\" : f32[]\n%1 = neg %0 region=2 : f32[]\n\
                output \"y\" %1\nupdate %0 <- %1\n";
    insta::assert_snapshot!(graphviz(&parse(text).unwrap()));
}

/// A text with one piece of it cut out, doubled, or replaced by a piece of another place.
fn mutate(text: &str, kind: u8, places: [Index; 4]) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut at = places.map(|place| place.index(characters.len()));
    at[1] = at[0] + (at[1] % 12).min(characters.len() - at[0]);
    at[3] = at[2] + (at[3] % 12).min(characters.len() - at[2]);
    let (before, cut) = (&characters[..at[0]], &characters[at[0]..at[1]]);
    let (after, other) = (&characters[at[1]..], &characters[at[2]..at[3]]);
    let middle = match kind % 4 {
        0 => Vec::new(),
        1 => [cut, cut].concat(),
        2 => other.to_vec(),
        _ => "9".repeat(cut.len()).chars().collect(),
    };
    [before, &middle, after].concat().into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn mutated_text_parses_or_fails_without_panic(
        mutations in prop::collection::vec((any::<u8>(), any::<[Index; 4]>()), 1..4)
    ) {
        let mut text = EVERY_OP.to_string();
        for (kind, places) in mutations {
            text = mutate(&text, kind, places);
        }
        if let Ok(function) = parse(&text) {
            prop_assert_eq!(parse(&function.to_string()), Ok(function));
        }
    }

    #[test]
    fn arbitrary_text_does_not_panic(text in "(%[0-9a]|[a-z_]{1,9}|[\\[\\](),:=\"# \n\\\\<-]|\\PC){0,60}") {
        let _ = parse(&text);
    }
}
