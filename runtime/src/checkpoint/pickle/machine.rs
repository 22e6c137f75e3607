//! The stack machine that a pickle is a program for.

use std::collections::HashMap;
use std::sync::Arc;

use super::opcode as op;
use super::text;
use super::{Global, Instance, Object, Pickle, PickleError, Problem, Value};

/// Runs a pickle to its end, and says how many bytes it has.
pub(super) fn run(bytes: &[u8]) -> Result<(Pickle, usize), PickleError> {
    let mut machine = Machine {
        bytes,
        position: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        objects: Vec::new(),
    };
    for _ in 0..Pickle::MAX_STEPS {
        let position = machine.position;
        let at = |problem| PickleError { position, problem };
        if let Some(root) = machine.step().map_err(at)? {
            let objects = machine.objects;
            return Ok((Pickle { objects, root }, machine.position));
        }
    }
    Err(PickleError {
        position: machine.position,
        problem: Problem::TooLong,
    })
}

struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    stack: Vec<Value>,
    /// Heights of the stack at which a MARK was set.
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    objects: Vec<Object>,
}

impl Machine<'_> {
    /// Executes one opcode; returns the result at the last.
    fn step(&mut self) -> Result<Option<Value>, Problem> {
        let opcode = self.u8()?;
        match opcode {
            op::STOP => return self.pop().map(Some),
            op::PROTO => match self.u8()? {
                0..=5 => {}
                protocol => return Err(Problem::Protocol(protocol)),
            },
            // A frame only tells how far to read ahead.
            op::FRAME => drop(self.number(8)?),
            op::MARK => self.marks.push(self.stack.len()),
            op::POP => self.pop_any()?,
            op::POP_MARK => drop(self.pop_mark()?),
            op::DUP => self.stack.push(self.top()?),

            op::NONE => self.stack.push(Value::None),
            op::NEWTRUE => self.stack.push(Value::Bool(true)),
            op::NEWFALSE => self.stack.push(Value::Bool(false)),
            op::BININT => {
                let bits = self.number(4)? as u32;
                self.stack.push(Value::Int(i64::from(bits as i32)));
            }
            op::BININT1 => self.unsigned(1)?,
            op::BININT2 => self.unsigned(2)?,
            op::LONG1 => self.long(1)?,
            op::LONG4 => self.long(4)?,
            op::BINFLOAT => {
                let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
                self.stack.push(Value::Float(f64::from_be_bytes(bytes)));
            }

            op::INT => {
                let value = text::int(self.line()?)?;
                self.integer(value);
            }
            op::LONG => {
                let value = text::long(self.line()?)?;
                self.integer(value);
            }
            op::FLOAT => {
                let value = text::float(self.line()?)?;
                self.stack.push(Value::Float(value));
            }

            op::STRING => {
                let text = text::string(self.line()?)?;
                self.push(Object::Str(text));
            }
            op::UNICODE => {
                let text = text::unicode(self.line()?)?;
                self.push(Object::Str(text));
            }
            op::SHORT_BINSTRING | op::SHORT_BINUNICODE => self.text(1)?,
            op::BINSTRING | op::BINUNICODE => self.text(4)?,
            op::BINUNICODE8 => self.text(8)?,
            op::SHORT_BINBYTES => self.binary(1)?,
            op::BINBYTES => self.binary(4)?,
            op::BINBYTES8 | op::BYTEARRAY8 => self.binary(8)?,

            op::EMPTY_TUPLE => self.push(Object::Tuple(Box::new([]))),
            op::TUPLE => {
                let values = self.pop_mark()?;
                self.push(Object::Tuple(values.into()));
            }
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::EMPTY_LIST => self.push(Object::List(Vec::new())),
            op::LIST => {
                let values = self.pop_mark()?;
                self.push(Object::List(values));
            }
            op::APPEND => {
                let value = self.pop()?;
                self.append([value])?;
            }
            op::APPENDS => {
                let values = self.pop_mark()?;
                self.append(values)?;
            }
            op::EMPTY_SET => self.push(Object::Set(Vec::new())),
            op::ADDITEMS => {
                let values = self.pop_mark()?;
                self.append(values)?;
            }
            op::FROZENSET => {
                let values = self.pop_mark()?;
                self.push(Object::Set(values));
            }
            op::EMPTY_DICT => self.push(Object::Dict(Vec::new())),
            op::DICT => {
                let entries = pairs(&self.pop_mark()?)?;
                self.push(Object::Dict(entries));
            }
            op::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![(key, value)])?;
            }
            op::SETITEMS => {
                let entries = pairs(&self.pop_mark()?)?;
                self.set_items(entries)?;
            }

            op::GLOBAL => {
                let global = self.global()?;
                self.push(global);
            }
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (module, name) = (self.string(module)?, self.string(name)?);
                self.push(Object::Global(Box::new(Global { module, name })));
            }
            op::REDUCE | op::NEWOBJ => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments);
            }
            op::NEWOBJ_EX => {
                let (_keywords, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, arguments);
            }
            op::INST => {
                let class = self.global()?;
                let arguments = self.pop_mark()?;
                self.push(class);
                let class = self.pop()?;
                self.push(Object::Tuple(arguments.into()));
                let arguments = self.pop()?;
                self.call(class, arguments);
            }
            op::OBJ => {
                let values = self.pop_mark()?;
                let (&class, arguments) = values.split_first().ok_or(Problem::Underflow)?;
                self.push(Object::Tuple(arguments.into()));
                let arguments = self.pop()?;
                self.call(class, arguments);
            }
            op::BUILD => {
                let state = self.pop()?;
                match self.target()? {
                    Object::Instance(instance) => instance.state = Some(state),
                    _ => return Err(Problem::Kind("an object to give a state to")),
                }
            }
            op::BINPERSID => {
                let id = self.pop()?;
                self.push(Object::Persistent(id));
            }

            op::PERSID => {
                let id = lossy(self.line()?);
                self.push(Object::Str(id));
                let id = self.pop()?;
                self.push(Object::Persistent(id));
            }

            op::PUT => {
                let number = text::index(self.line()?)?;
                self.put(number)?;
            }
            op::BINPUT => {
                let number = self.number(1)?;
                self.put(number)?;
            }
            op::LONG_BINPUT => {
                let number = self.number(4)?;
                self.put(number)?;
            }
            op::MEMOIZE => drop(self.memo.insert(self.memo.len() as u64, self.top()?)),
            op::GET => {
                let number = text::index(self.line()?)?;
                self.get(number)?;
            }
            op::BINGET => {
                let number = self.number(1)?;
                self.get(number)?;
            }
            op::LONG_BINGET => {
                let number = self.number(4)?;
                self.get(number)?;
            }
            _ => return Err(Problem::Opcode(opcode)),
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Problem> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..count).ok_or(Problem::Truncated)?;
        self.position += count;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Problem> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of at most eight bytes.
    fn number(&mut self, width: usize) -> Result<u64, Problem> {
        let bytes = self.take(width)?.iter().rev();
        Ok(bytes.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// Bytes behind their length, itself a number of `width` bytes.
    fn counted(&mut self, width: usize) -> Result<&[u8], Problem> {
        let count = self.number(width)?;
        self.take(usize::try_from(count).map_err(|_| Problem::Truncated)?)
    }

    /// What is before the end of the line.
    fn line(&mut self) -> Result<&[u8], Problem> {
        let rest = &self.bytes[self.position..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = &rest[..end.ok_or(Problem::Truncated)?];
        self.position += line.len() + 1;
        Ok(line)
    }

    /// The class or function that two lines name.
    fn global(&mut self) -> Result<Object, Problem> {
        let (module, name) = (lossy(self.line()?), lossy(self.line()?));
        Ok(Object::Global(Box::new(Global { module, name })))
    }

    fn top(&self) -> Result<Value, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&value) if self.stack.len() > floor => Ok(value),
            _ => Err(Problem::Underflow),
        }
    }

    fn pop(&mut self) -> Result<Value, Problem> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    /// Pops a value or a mark.
    fn pop_any(&mut self) -> Result<(), Problem> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    /// Pops the last mark and what is above it.
    fn pop_mark(&mut self) -> Result<Vec<Value>, Problem> {
        let height = self.marks.pop().ok_or(Problem::Underflow)?;
        Ok(self.stack.split_off(height))
    }

    fn push(&mut self, object: Object) {
        // An opcode makes three objects at most, so the limit on opcodes keeps the number small.
        let id = self.objects.len() as u32;
        self.objects.push(object);
        self.stack.push(Value::Object(id));
    }

    fn unsigned(&mut self, width: usize) -> Result<(), Problem> {
        let number = self.number(width)?;
        self.stack.push(Value::Int(number as i64));
        Ok(())
    }

    /// An integer, or one whose value is beyond 64 bits.
    fn integer(&mut self, value: Option<Value>) {
        match value {
            Some(value) => self.stack.push(value),
            None => self.push(Object::BigInt),
        }
    }

    /// A little-endian integer in two's complement, of any length.
    fn long(&mut self, width: usize) -> Result<(), Problem> {
        let bytes = self.counted(width)?;
        if bytes.len() > 8 {
            self.push(Object::BigInt);
            return Ok(());
        }
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut padded = [if negative { 0xff } else { 0 }; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(padded)));
        Ok(())
    }

    fn text(&mut self, width: usize) -> Result<(), Problem> {
        let text = lossy(self.counted(width)?);
        self.push(Object::Str(text));
        Ok(())
    }

    fn binary(&mut self, width: usize) -> Result<(), Problem> {
        let bytes = self.counted(width)?.into();
        self.push(Object::Bytes(bytes));
        Ok(())
    }

    fn tuple(&mut self, count: usize) -> Result<(), Problem> {
        let mut values = vec![Value::None; count];
        for value in values.iter_mut().rev() {
            *value = self.pop()?;
        }
        self.push(Object::Tuple(values.into()));
        Ok(())
    }

    /// The object on top of the stack.
    fn target(&mut self) -> Result<&mut Object, Problem> {
        match self.top()? {
            Value::Object(id) => Ok(&mut self.objects[id as usize]),
            _ => Err(Problem::Kind("an object")),
        }
    }

    fn append(&mut self, values: impl IntoIterator<Item = Value>) -> Result<(), Problem> {
        match self.target()? {
            Object::List(list) | Object::Set(list) => list.extend(values),
            Object::Instance(instance) => instance.appended.extend(values),
            _ => return Err(Problem::Kind("a list or set")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<(Value, Value)>) -> Result<(), Problem> {
        match self.target()? {
            Object::Dict(entries) => entries.extend(items),
            Object::Instance(instance) => instance.entries.extend(items),
            _ => return Err(Problem::Kind("a dictionary")),
        }
        Ok(())
    }

    fn string(&self, value: Value) -> Result<Arc<str>, Problem> {
        match value {
            Value::Object(id) => match &self.objects[id as usize] {
                Object::Str(text) => Ok(text.clone()),
                _ => Err(Problem::Kind("a string")),
            },
            _ => Err(Problem::Kind("a string")),
        }
    }

    /// Records a call; nothing is called.
    fn call(&mut self, function: Value, arguments: Value) {
        self.push(Object::Instance(Box::new(Instance {
            function,
            arguments,
            state: None,
            appended: Vec::new(),
            entries: Vec::new(),
        })));
    }

    fn put(&mut self, number: u64) -> Result<(), Problem> {
        self.memo.insert(number, self.top()?);
        Ok(())
    }

    fn get(&mut self, number: u64) -> Result<(), Problem> {
        let value = self.memo.get(&number).ok_or(Problem::Memo(number))?;
        self.stack.push(*value);
        Ok(())
    }
}

/// Keys with their values, from an alternation of both.
fn pairs(values: &[Value]) -> Result<Vec<(Value, Value)>, Problem> {
    match values.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(Problem::Kind("a value for each key")),
    }
}

/// Python writes lone surrogates, which paths may contain, as invalid UTF-8; they are replaced.
fn lossy(bytes: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(bytes).into()
}
