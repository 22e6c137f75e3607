//! Values as protocols 0 and 1 write them: as text, a line each.

use std::sync::Arc;

use super::{Problem, Value};

/// An integer in decimal, or a boolean, which protocols 0 and 1 write as `00` and `01`. `None`
/// for one beyond 64 bits.
pub(super) fn int(line: &[u8]) -> Result<Option<Value>, Problem> {
    match line {
        b"00" => Ok(Some(Value::Bool(false))),
        b"01" => Ok(Some(Value::Bool(true))),
        _ => long(line),
    }
}

/// An integer in decimal, perhaps with an `L` behind it. `None` for one beyond 64 bits.
pub(super) fn long(line: &[u8]) -> Result<Option<Value>, Problem> {
    let digits = line.strip_suffix(b"L").unwrap_or(line);
    let text = str::from_utf8(digits).map_err(|_| Problem::Kind("an integer"))?;
    let bare = text.strip_prefix('-').unwrap_or(text);
    if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::Kind("an integer"));
    }
    Ok(text.parse().ok().map(Value::Int))
}

/// A number as Python prints it.
pub(super) fn float(line: &[u8]) -> Result<f64, Problem> {
    let text = str::from_utf8(line).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or(Problem::Kind("a number"))
}

/// The number of a memo entry.
pub(super) fn index(line: &[u8]) -> Result<u64, Problem> {
    let text = str::from_utf8(line).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or(Problem::Kind("a number of the memo"))
}

/// A string between quotes, with backslash escapes.
pub(super) fn string(line: &[u8]) -> Result<Arc<str>, Problem> {
    let inside = match line {
        [b'\'', inside @ .., b'\''] | [b'"', inside @ .., b'"'] => inside,
        _ => return Err(Problem::Kind("a string between quotes")),
    };
    let mut text = String::new();
    let mut rest = inside;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            text.push(char::from(*first));
            continue;
        }
        let [escape, after @ ..] = rest else {
            return Err(Problem::Kind("a character behind the backslash"));
        };
        rest = after;
        match escape {
            b'n' => text.push('\n'),
            b'r' => text.push('\r'),
            b't' => text.push('\t'),
            b'x' => text.push(hex(&mut rest, 2)?),
            b'\\' | b'\'' | b'"' => text.push(char::from(*escape)),
            // Python keeps a backslash that escapes nothing.
            other => text.extend(['\\', char::from(*other)]),
        }
    }
    Ok(text.into())
}

/// Text of which only `\u` and `\U` are escapes.
pub(super) fn unicode(line: &[u8]) -> Result<Arc<str>, Problem> {
    let mut text = String::new();
    let mut rest = line;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, rest) {
            (b'\\', [b'u', after @ ..]) => {
                rest = after;
                text.push(hex(&mut rest, 4)?);
            }
            (b'\\', [b'U', after @ ..]) => {
                rest = after;
                text.push(hex(&mut rest, 8)?);
            }
            _ => text.push(char::from(*first)),
        }
    }
    Ok(text.into())
}

/// The character with the number that so many hexadecimal digits at the start of `rest` are.
/// What is no character, a lone surrogate, is replaced.
fn hex(rest: &mut &[u8], digits: usize) -> Result<char, Problem> {
    let wrong = Problem::Kind("hexadecimal digits behind the backslash");
    let (number, after) = rest.split_at_checked(digits).ok_or(wrong)?;
    let all = number.iter().all(u8::is_ascii_hexdigit);
    let number = str::from_utf8(number).ok().filter(|_| all).ok_or(wrong)?;
    *rest = after;
    let number = u32::from_str_radix(number, 16).map_err(|_| wrong)?;
    Ok(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
}
