//! What was changed to make a file a plain picture.

use std::fmt;

/// Something about a file that a user may want to know because the picture is not quite the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notice {
    /// One channel was copied to red, green and blue.
    Greyscale,
    /// 16-bit samples were rounded to 8 bits.
    SixteenBit,
    /// Pixels that are not opaque were laid over white.
    TransparencyOverWhite,
    /// The colours were converted to sRGB from those that the file describes.
    ColorConverted,
    /// The file describes its colours in a way that is not understood; they were taken for sRGB.
    ColorIgnored,
    /// Four ink channels were converted to RGB without a colour profile.
    Cmyk,
    /// The picture was turned or mirrored as the orientation in its EXIF data or header says.
    Orientation,
    /// The file is an animation, of which this is the first picture.
    Animation,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Notice::Greyscale => "greyscale: copied to red, green and blue",
            Notice::SixteenBit => "16-bit samples: rounded to 8 bits",
            Notice::TransparencyOverWhite => {
                "transparent pixels: laid over white, alpha is not kept"
            }
            Notice::ColorConverted => "converted to sRGB from its own colours",
            Notice::ColorIgnored => "its colour profile cannot be used: taken for sRGB",
            Notice::Cmyk => "CMYK: converted to RGB without its colour profile",
            Notice::Animation => "an animation: only its first picture is used",
            Notice::Orientation => "turned upright as its orientation says",
        })
    }
}
