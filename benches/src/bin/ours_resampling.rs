//! Our side of `benches/peers/resampling.py`: pools, resizes and normalisations, each run on demand.
//!
//! `ours_resampling FOLDER write CASE BATCH` stores pictures, a cotangent, and what the case is; without a
//! folder, `ours_resampling cases` names them.
//! `ours_resampling FOLDER serve CASE BATCH PASS` answers commands; a pass is `forward`, or `both` with the
//! gradient by the pictures.

use bsq_benches::resampling::{RESAMPLING, ResamplingCase};
use bsq_benches::{Served, Tensors, serve, threads};
use bsq_runtime::checkpoint::safetensors;
use bsq_runtime::{CompileOptions, HostTensor, Session, compile};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["cases"] => {
            let names: Vec<&str> = RESAMPLING.iter().map(|case| case.name).collect();
            println!("{}", json!(names));
            Ok(())
        }
        [folder, "write", case, batch] => write(Path::new(folder), named(case)?, batch.parse()?),
        [_, "serve", case, batch, pass] => {
            let (case, batch) = (named(case)?, batch.parse()?);
            let with_gradient = match pass {
                "forward" => false,
                "both" => true,
                other => return Err(format!("{other}: no such pass").into()),
            };
            serve(Case::new(case, batch, with_gradient)?, json!({}))
        }
        _ => Err("see the first lines of benches/src/bin/ours_resampling.rs".into()),
    }
}

fn named(name: &str) -> Result<&'static ResamplingCase, Box<dyn Error>> {
    let found = RESAMPLING.iter().find(|case| case.name == name);
    found.ok_or_else(|| format!("{name}: no such case").into())
}

fn write(folder: &Path, case: &ResamplingCase, batch: usize) -> Result<(), Box<dyn Error>> {
    let path = folder.join("inputs.safetensors");
    safetensors::save(&path, &case.data(batch), &BTreeMap::new())?;
    let description = case.description(batch);
    Ok(std::fs::write(
        folder.join("case.json"),
        format!("{description:#}\n"),
    )?)
}

/// A program, what it is given, and what it made of it last.
struct Case {
    session: Session,
    given: Tensors,
    results: Tensors,
}

impl Case {
    fn new(
        case: &ResamplingCase,
        batch: usize,
        with_gradient: bool,
    ) -> Result<Case, Box<dyn Error>> {
        let options = CompileOptions {
            threads: threads(),
            ..CompileOptions::default()
        };
        let function = case.function(batch, with_gradient);
        let mut given = case.data(batch);
        let asked: Vec<&str> = function.inputs().map(|(_, name, _)| name).collect();
        given.retain(|name, _| asked.contains(&name.as_str()));
        let parameters = function.parameters().map(|(_, name, ty)| {
            // A scale is 1, a shift 0.
            let value = f32::from(u8::from(name.ends_with("weight")));
            let tensor =
                HostTensor::from_slice(ty.shape.to_vec(), &vec![value; ty.shape.elements()]);
            Ok::<_, Box<dyn Error>>((name.to_string(), tensor?))
        });
        let parameters: Tensors = parameters.collect::<Result<_, _>>()?;
        Ok(Case {
            session: compile(&function, &options)?.bind(parameters)?,
            given,
            results: Tensors::new(),
        })
    }
}

impl Served for Case {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let given = self.given.iter();
        let given: Vec<(&str, &HostTensor)> = given.map(|(name, t)| (&**name, t)).collect();
        let results = &mut self.results;
        Ok(self.session.run_each(&given, |name, tensor| {
            results.insert(name.to_string(), tensor);
        })?)
    }

    fn results(&self) -> Result<Tensors, Box<dyn Error>> {
        Ok(self.results.clone())
    }
}
