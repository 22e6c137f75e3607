//! Clips written and read by every way there is.

use super::*;
use crate::image_io::{ImageSize, save_png};
use std::fs;
use std::process::Command;

const SIZE: ImageSize = ImageSize {
    height: 32,
    width: 48,
};

fn format(size: ImageSize, rate: &str) -> ClipFormat {
    ClipFormat {
        size,
        rate: rate.parse().unwrap(),
        frames: None,
    }
}

/// A smooth pattern that moves.
fn frame(size: ImageSize, time: usize) -> Picture {
    let sample = |i: usize| {
        let (pixel, channel) = (i / 3, i % 3);
        let (y, x) = (pixel / size.width, pixel % size.width);
        (40 + 3 * x + 2 * y + 5 * time + 10 * channel).min(250) as u8
    };
    Picture::new(
        size.width,
        size.height,
        (0..3 * size.width * size.height).map(sample).collect(),
    )
}

fn written(path: &Path, format: &ClipFormat, frames: usize) {
    let mut writer = create(path, format).unwrap();
    (0..frames).for_each(|time| writer.write(&frame(format.size, time)).unwrap());
    writer.finish().unwrap();
}

fn read(path: &Path, options: &ClipOptions) -> (ClipFormat, Vec<Picture>, Vec<String>) {
    let mut clip = open(path, options).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = clip.next_frame().unwrap() {
        frames.push(frame);
    }
    (*clip.format(), frames, clip.notices())
}

fn far(a: &Picture, b: &Picture) -> u8 {
    let pairs = a.rgb.iter().zip(&b.rgb);
    pairs.map(|(&a, &b)| a.abs_diff(b)).max().unwrap()
}

fn has_ffmpeg() -> bool {
    let has = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !has {
        eprintln!("skipped: ffmpeg is not installed");
    }
    has
}

#[test]
fn uncompressed_clips_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for (name, limit) in [("clip.y4m", 5), ("frames", 0)] {
        for size in [
            SIZE,
            ImageSize {
                height: 7,
                width: 9,
            },
            ImageSize {
                height: 1,
                width: 1,
            },
        ] {
            let path = folder
                .path()
                .join(format!("{}x{}", size.height, size.width))
                .join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            written(&path, &format(size, "24000/1001"), 3);
            let (found, frames, _) = read(&path, &ClipOptions::default());
            assert_eq!((found.size, frames.len()), (size, 3));
            let rate = if limit == 0 { "25" } else { "24000/1001" };
            assert_eq!(found.rate.to_string(), rate);
            for (time, found) in frames.iter().enumerate() {
                assert!(far(found, &frame(size, time)) <= limit, "{name}, {size:?}");
            }
        }
    }
}

#[test]
fn planes_without_a_header_take_their_size_from_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noise_48x32_50fps.yuv");
    let coding = y4m::coding_of(SIZE);
    let mut bytes = Vec::new();
    for time in 0..2 {
        let planes = color::Yuv420::from_rgb(&frame(SIZE, time), coding);
        bytes.extend([planes.y, planes.u, planes.v].concat());
    }
    fs::write(&path, &bytes).unwrap();
    let (found, frames, notices) = read(&path, &ClipOptions::default());
    assert_eq!(
        (found.size, found.rate.to_string(), found.frames),
        (SIZE, "50".into(), Some(2))
    );
    assert!(notices.is_empty() && far(&frames[1], &frame(SIZE, 1)) <= 5);

    let nameless = folder.path().join("noise.yuv");
    fs::write(&nameless, &bytes).unwrap();
    let error = open(&nameless, &ClipOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("--size"), "{error}");
    fs::write(&path, &bytes[1..]).unwrap();
    let error = open(&path, &ClipOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("not whole frames of 48x32"), "{error}");
}

#[test]
fn what_is_cut_off_or_none_at_all_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.y4m");
    written(&path, &format(SIZE, "25"), 2);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let mut clip = open(&path, &ClipOptions::default()).unwrap();
    assert!(clip.next_frame().unwrap().is_some());
    let error = clip.next_frame().unwrap_err().to_string();
    assert!(
        error.contains("clip.y4m: the file ends inside a frame"),
        "{error}"
    );

    let refused =
        |path: &Path, options: &ClipOptions| open(path, options).err().unwrap().to_string();
    fs::write(&path, b"YUV4MPEG2 W4 H4 C420p10\n").unwrap();
    assert!(refused(&path, &ClipOptions::default()).contains("8 bits"));
    fs::write(&path, &whole).unwrap();
    let small = ClipOptions {
        max_pixels: 100,
        ..ClipOptions::default()
    };
    assert!(refused(&path, &small).contains("at most 100"));
    let missing = folder.path().join("none.mp4");
    assert!(refused(&missing, &ClipOptions::default()).contains("no such file"));
    assert!(refused(folder.path(), &ClipOptions::default()).contains("without pictures"));
    save_png(&frame(SIZE, 0), folder.path().join("1.png")).unwrap();
    save_png(
        &frame(
            ImageSize {
                height: 4,
                width: 4,
            },
            0,
        ),
        folder.path().join("2.png"),
    )
    .unwrap();
    let mut clip = open(folder.path(), &ClipOptions::default()).unwrap();
    assert!(clip.next_frame().unwrap().is_some());
    let error = clip.next_frame().unwrap_err().to_string();
    assert!(
        error.contains("2.png: 4x4 pixels, and the first frame has 48x32"),
        "{error}"
    );
}

#[test]
fn a_gif_shows_every_frame() {
    use image::AnimationDecoder;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.gif");
    written(&path, &format(SIZE, "10"), 3);
    let file = std::io::BufReader::new(fs::File::open(&path).unwrap());
    let frames = image::codecs::gif::GifDecoder::new(file)
        .unwrap()
        .into_frames();
    let frames = frames.collect_frames().unwrap();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0].delay().numer_denom_ms(), (100, 1));
}

#[test]
fn other_formats_go_through_ffmpeg() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (size, kept) in [
        (SIZE, SIZE),
        (
            ImageSize {
                height: 33,
                width: 47,
            },
            ImageSize {
                height: 34,
                width: 48,
            },
        ),
    ] {
        let path = folder.path().join("clip.mp4");
        written(&path, &format(size, "30000/1001"), 7);
        let (found, frames, notices) = read(&path, &ClipOptions::default());
        assert_eq!(
            (found.size, found.rate.to_string(), found.frames),
            (kept, "30000/1001".into(), Some(7))
        );
        assert!(frames.len() == 7 && notices.is_empty(), "{notices:?}");
        for (time, found) in frames.iter().enumerate() {
            let expected = frame(size, time);
            let near = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
            let far = near.map(|(x, y)| expected.pixel(x, y)[0].abs_diff(found.pixel(x, y)[0]));
            assert!(far.max() <= Some(12), "{size:?}");
        }
        assert!(fs::metadata(&path).unwrap().len() > 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

fn ffmpeg(arguments: &str, path: &Path) {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-y"])
        .args(arguments.split(' '))
        .arg(path);
    assert!(command.status().unwrap().success(), "{arguments}");
}

#[test]
fn what_a_file_has_beside_plain_frames_is_said() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mkv");
    let read = |path: &Path| read(path, &ClipOptions::default());

    ffmpeg(
        "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine -shortest -c:v ffv1 -pix_fmt yuv420p10le",
        &path,
    );
    let (found, frames, notices) = read(&path);
    assert_eq!(
        (found.size, frames.len()),
        (
            ImageSize {
                height: 48,
                width: 64
            },
            25
        )
    );
    assert!(
        notices.iter().any(|notice| notice.contains("sound")),
        "{notices:?}"
    );
    assert!(
        notices
            .iter()
            .any(|notice| notice.contains("more than 8 bits")),
        "{notices:?}"
    );

    // Ten frames a second, then twenty.
    let vfr = folder.path().join("vfr.mp4");
    ffmpeg(
        "-f lavfi -i testsrc2=s=64x48:r=20:d=2 -vf select=gt(t\\,1)+not(mod(n\\,2)) -fps_mode vfr",
        &vfr,
    );
    let (_, frames, notices) = read(&vfr);
    assert!(
        notices
            .iter()
            .any(|notice| notice.contains("variable frame rate")),
        "{notices:?}"
    );
    assert!((25..=42).contains(&frames.len()), "{}", frames.len());

    let upright = folder.path().join("upright.mp4");
    ffmpeg("-f lavfi -i testsrc2=s=64x48:r=25:d=1", &upright);
    let turned = folder.path().join("turned.mp4");
    ffmpeg(
        &format!("-i {} -c copy -metadata:s:v rotate=90", upright.display()),
        &turned,
    );
    let size = read(&turned).0.size;
    assert_eq!((size.width, size.height), (48, 64));

    let bytes = fs::read(&upright).unwrap();
    let cut = folder.path().join("cut.mp4");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let error = open(&cut, &ClipOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with(&cut.display().to_string()) && !error.contains('\n'),
        "{error}"
    );
    let sound = folder.path().join("sound.m4v");
    ffmpeg("-f lavfi -i sine=d=1 -f mp4", &sound);
    let error = open(&sound, &ClipOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("no pictures"), "{error}");
}
