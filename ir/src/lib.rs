//! The intermediate representation: graph, DSL, autodiff, rewriting, reference evaluator.
