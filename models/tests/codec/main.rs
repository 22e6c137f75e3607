//! The codec: round trips, damage, golden streams, and what coding costs.

mod clips;
mod common;
mod damage;
mod golden;
mod level_files;
mod levels;
mod long_tokens;
mod photos;
mod prefixes;
mod resealed;
mod round_trip;
mod together;
mod token_clips;
