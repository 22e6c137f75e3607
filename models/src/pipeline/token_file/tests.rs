//! Files that come back, and files that are refused.

use super::*;
use crate::pipeline::tests::{moving, picture, tiny, tiny_clips};
use crate::pipeline::{CompileOptions, TokenizerSession};
use crate::token_grid::GridShape;

fn file(model: &ModelFile) -> TokenFile {
    let mut session = TokenizerSession::new(model, CompileOptions::default());
    let sizes = [("a.png", 20, 33), ("b.jpg", 1, 1)];
    let pictures = sizes.map(|(name, width, height)| NamedTokens {
        name: name.to_string(),
        tokens: session
            .encode_picture(&picture(width, height), &mut |_| {})
            .unwrap(),
    });
    let frames = [picture(20, 17), picture(20, 17)];
    let clip = NamedClip {
        name: "c.mp4".to_string(),
        rate: "30000/1001".parse().unwrap(),
        overlap: 0,
        tokens: {
            let frames = frames.map(|frame| session.encode_picture(&frame, &mut |_| {}).unwrap());
            let [a, b] = frames.map(|tokens| tokens.grid);
            let shape = GridShape {
                frames: 2,
                ..a.shape
            };
            ClipTokens {
                size: ImageSize {
                    height: 17,
                    width: 20,
                },
                grid: TokenGrid::new(shape, [a.indices, b.indices].concat()),
            }
        },
    };
    TokenFile::new(model, pictures.to_vec(), vec![clip])
}

#[test]
fn tokens_survive_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.safetensors");
    let model = tiny(2);
    let tokens = file(&model);
    tokens.save(&model, &path).unwrap();
    assert_eq!(TokenFile::load(&path, &model).unwrap(), tokens);
    // Without clips it is a file that programs of before read.
    let pictures = TokenFile {
        clips: Vec::new(),
        ..tokens
    };
    pictures.save(&model, &path).unwrap();
    let file = checkpoint::load(&path, Weights::Ema).unwrap();
    assert_eq!(file.metadata["format"], "bsq tokens 1");
    assert_eq!(TokenFile::load(&path, &model).unwrap(), pictures);

    let error = TokenFile::load(&path, &tiny(3)).unwrap_err();
    assert!(
        matches!(error, TokenFileError::OtherModel { .. }),
        "{error}"
    );
}

/// The overlap of chunks comes back, and is one that the model can have.
#[test]
fn clips_say_how_chunks_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.safetensors");
    let model = tiny_clips(3);
    let frames: Vec<_> = (0..3).map(moving).collect();
    let mut session = TokenizerSession::new(&model, CompileOptions::default());
    let clip = |overlap| NamedClip {
        name: "c.mp4".to_string(),
        rate: Default::default(),
        overlap,
        tokens: session.encode_clip(&frames).unwrap(),
    };
    let files = [0, 2, 3].map(clip);
    let files = files.map(|clip| TokenFile::new(&model, Vec::new(), vec![clip]));
    for file in &files[..2] {
        file.save(&model, &path).unwrap();
        assert_eq!(&TokenFile::load(&path, &model).unwrap(), file);
    }
    files[2].save(&model, &path).unwrap();
    let error = TokenFile::load(&path, &model).unwrap_err().to_string();
    assert!(error.contains("an overlap of 3 frames"), "{error}");
}

#[test]
fn contradictions_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.safetensors");
    let model = tiny(2);
    file(&model).save(&model, &path).unwrap();
    let good = checkpoint::load(&path, Weights::Ema).unwrap();
    let refused = |change: &dyn Fn(&mut Checkpoint), words: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = TokenFile::from_checkpoint(&path, &bad, &model).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(
        &|file| {
            file.metadata.remove("format");
        },
        "not a token file",
    );
    refused(
        &|file| {
            file.metadata.insert("format".into(), "bsq tokens 4".into());
        },
        "newer than this program",
    );
    refused(
        &|file| {
            file.metadata.insert("format".into(), "bsq tokens 3".into());
        },
        "levels of a transform codec",
    );
    refused(
        &|file| {
            file.metadata.remove("pictures.1");
        },
        "6 tensors for 2 pictures and clips",
    );
    refused(
        &|file| {
            let entry = r#"{"name":"a","width":99,"height":33}"#;
            file.metadata.insert("pictures.0".into(), entry.into());
        },
        "but a picture of this size",
    );
    refused(
        &|file| {
            let entry = r#"{"name":"a","width":0,"height":33}"#;
            file.metadata.insert("pictures.0".into(), entry.into());
        },
        "a size of 0x33",
    );
    refused(
        &|file| {
            let entry = file.metadata["clips.0"].replace("\"frames\":2", "\"frames\":3");
            file.metadata.insert("clips.0".into(), entry);
        },
        "but a clip of this size and model has [3, ",
    );
    refused(
        &|file| {
            let entry = file.metadata["clips.0"].replace("30000/1001", "0/0");
            file.metadata.insert("clips.0".into(), entry);
        },
        "a rate of 0/0",
    );
    refused(
        &|file| {
            let bits = file.tensors.get_mut("pictures.0.bits").unwrap();
            let bits = bits.as_mut_slice::<bool>().unwrap();
            bits[7] = !bits[7];
        },
        "not those of its group indices",
    );
    refused(
        &|file| {
            let groups = file.tensors.get_mut("pictures.0.group_indices").unwrap();
            groups.as_mut_slice::<u64>().unwrap()[0] = 8;
        },
        "has more than 3 bits",
    );
}
