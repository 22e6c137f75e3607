//! The text form of patterns.

use super::{Head, Name, Number, Pattern};

struct Parser {
    whole: &'static str,
    rest: &'static str,
}

pub(super) fn pattern(text: &'static str) -> Pattern {
    let mut parser = Parser {
        whole: text,
        rest: text,
    };
    let pattern = parser.pattern();
    parser.space();
    if !parser.rest.is_empty() {
        parser.fail("text after the pattern");
    }
    pattern
}

impl Parser {
    fn fail(&self, what: &str) -> ! {
        panic!("pattern `{}`: {what} at `{}`", self.whole, self.rest)
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Name {
        let stop = |c: char| c.is_whitespace() || "()[]:$".contains(c);
        let end = self.rest.find(stop).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            self.fail("expected a name");
        }
        self.rest = rest;
        word
    }

    fn number(&mut self) -> Number {
        let word = self.word();
        match word.parse() {
            Ok(value) => Number::Is(value),
            Err(_) => Number::Bound(word),
        }
    }

    fn pattern(&mut self) -> Pattern {
        self.space();
        if self.take("?") {
            let name = self.word();
            return match self.take(":") {
                true => Pattern::Alias(name, Box::new(self.pattern())),
                false => Pattern::Class(name),
            };
        }
        if self.take("#") {
            return Pattern::Constant(self.number());
        }
        if !self.take("(") {
            self.fail("expected ?name, #number or (");
        }
        if self.take("*") {
            let factor = match self.take("[") {
                true => {
                    let factor = self.number();
                    if !self.take("]") {
                        self.fail("expected ]");
                    }
                    factor
                }
                false => Number::Is(1.0),
            };
            let factors = self.operands();
            return Pattern::Product { factor, factors };
        }
        if self.take("+") {
            let rest = self.take("$").then(|| self.word());
            let terms = self.operands();
            return Pattern::Linear { terms, rest };
        }
        let head = self.head();
        let payload = self.take("$").then(|| self.word());
        let operands = self.operands();
        Pattern::Node {
            head,
            payload,
            operands,
        }
    }

    fn head(&mut self) -> Head {
        match self.word() {
            "row" => Head::Row,
            "column" => Head::Column,
            "row_sum" => Head::RowSum,
            "row_max" => Head::RowMax,
            name => Head::Op(name),
        }
    }

    fn operands(&mut self) -> Vec<Pattern> {
        let mut operands = Vec::new();
        loop {
            self.space();
            if self.take(")") {
                return operands;
            }
            operands.push(self.pattern());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_nest() {
        let parsed = pattern("(mul ?e:(exp ?s) (row (div #1 (row_sum$s ?e))))");
        let Pattern::Node { head, operands, .. } = &parsed else {
            panic!("a node")
        };
        assert_eq!(*head, Head::Op("mul"));
        assert!(matches!(operands[0], Pattern::Alias("e", _)));
        assert_eq!(parsed.roots(), ["mul"]);
        let chain = pattern("(+$rest (*[-0.5] ?x) ?y)");
        assert_eq!(chain.roots(), ["add", "sub"]);
    }

    #[test]
    #[should_panic(expected = "pattern `(add ?x`: expected")]
    fn unclosed_patterns_are_refused() {
        pattern("(add ?x");
    }
}
