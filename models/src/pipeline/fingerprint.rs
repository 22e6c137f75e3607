//! A model's fingerprint: what must be equal for tokens of one to be decodable by another.

use crate::config::{
    BsqConfig, FsqConfig, QuantizerConfig, TokenizerConfig, TransformPathConfig, VitConfig,
    VqConfig,
};
use bsq_runtime::tensor_data::HostTensor;
use std::collections::BTreeMap;

/// A model's [`fingerprint`] as a number.
pub fn fingerprint_number(
    config: &TokenizerConfig,
    parameters: &BTreeMap<String, HostTensor>,
) -> u64 {
    let mut hash = Fnv::default();
    let TokenizerConfig {
        encoder,
        decoder,
        transform,
        quantizer,
        logit_laplace,
        clamp_range,
    } = config;
    hash.vit(encoder);
    hash.vit(decoder);
    match quantizer {
        QuantizerConfig::Bsq(bsq) => hash.bsq(bsq),
        QuantizerConfig::Vq(vq) => hash.vq(vq),
        QuantizerConfig::Fsq(FsqConfig { levels }) => {
            hash.bytes(b"fsq");
            hash.numbers(levels);
        }
    }
    if let Some(TransformPathConfig {
        bits,
        steepness,
        frame_delta,
    }) = transform
    {
        hash.numbers(bits);
        hash.number(steepness.to_bits());
        if *frame_delta {
            hash.bytes(b"frame_delta");
        }
    }
    hash.number(u64::from(*logit_laplace));
    for limit in clamp_range {
        hash.number(limit.to_bits());
    }
    hash.parameters(parameters);
    hash.0
}

/// Sixteen hexadecimal digits that stand for a model's architecture and for every bit of its
/// parameters: 64-bit FNV-1a. It guards against mistakes, not against malice.
///
/// What only training reads (entropy modes, loss weights, the temperature) is not part of it.
pub fn fingerprint(config: &TokenizerConfig, parameters: &BTreeMap<String, HostTensor>) -> String {
    format!("{:016x}", fingerprint_number(config, parameters))
}

/// 64-bit FNV-1a over words.
pub(crate) struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xCBF2_9CE4_8422_2325)
    }
}

impl Fnv {
    pub fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0000_0100_0000_01B3);
        // Words instead of bytes: fold the high half down, which multiplication never reaches.
        self.0 ^= self.0 >> 32;
    }

    pub fn numbers(&mut self, numbers: &[usize]) {
        numbers
            .iter()
            .for_each(|&number| self.number(number as u64));
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        self.number(bytes.len() as u64);
        words
            .iter()
            .for_each(|word| self.number(u64::from_le_bytes(*word)));
        rest.iter().for_each(|&byte| self.number(u64::from(byte)));
    }

    pub fn parameters(&mut self, parameters: &BTreeMap<String, HostTensor>) {
        for (name, tensor) in parameters {
            self.bytes(name.as_bytes());
            self.number(tensor.shape().len() as u64);
            self.numbers(tensor.shape());
            self.bytes(tensor.bytes());
        }
    }

    fn vit(&mut self, vit: &VitConfig) {
        let VitConfig {
            image_size,
            patch_size,
            width,
            layers,
            heads,
            mlp_ratio: _,
            num_frames,
            cross_frames,
            ln_pre,
            ln_post,
            mask_type,
            mask_block_size,
            mask_compat,
            use_ffn_output,
            dim_ffn_output,
        } = vit;
        self.numbers(&[image_size.height, image_size.width, *patch_size]);
        self.numbers(&[*width, *layers, *heads, vit.mlp_width(), *num_frames]);
        for flag in [cross_frames, ln_pre, ln_post, use_ffn_output] {
            self.number(u64::from(*flag));
        }
        self.number(*mask_type as u64);
        self.number(*mask_block_size as u64);
        // Models of before had no such key.
        if *mask_compat {
            self.bytes(b"mask_compat");
        }
        self.number(*dim_ffn_output as u64);
    }

    fn bsq(&mut self, bsq: &BsqConfig) {
        self.bytes(b"bsq");
        self.numbers(&[bsq.embed_dim, bsq.embed_group_size]);
        self.number(u64::from(bsq.l2_norm));
        self.number(u64::from(bsq.post_q_l2_norm));
    }

    fn vq(&mut self, vq: &VqConfig) {
        self.bytes(b"vq");
        self.numbers(&[vq.n_embed, vq.embed_dim]);
        self.number(u64::from(vq.l2_norm));
        // Models of before had one.
        if vq.codebooks > 1 {
            self.numbers(&[vq.codebooks]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::tiny;

    #[test]
    fn every_parameter_and_every_relevant_key_counts() {
        let model = tiny(1);
        let own = fingerprint(model.tokenizer.config(), &model.parameters);
        assert_eq!(own.len(), 16);
        assert_eq!(
            own,
            fingerprint(model.tokenizer.config(), &model.parameters.clone())
        );

        for name in model.parameters.keys() {
            let mut other = model.parameters.clone();
            let values = other.get_mut(name).unwrap().as_mut_slice::<f32>().unwrap();
            let last = values.last_mut().unwrap();
            *last = f32::from_bits(last.to_bits() ^ 1);
            assert_ne!(own, fingerprint(model.tokenizer.config(), &other), "{name}");
        }

        let mut config = model.tokenizer.config().clone();
        config.decoder.heads = 4;
        assert_ne!(own, fingerprint(&config, &model.parameters));
        let mut config = model.tokenizer.config().clone();
        config.clamp_range = [0.0, 1.0];
        assert_ne!(own, fingerprint(&config, &model.parameters));
    }

    #[test]
    fn what_only_training_reads_does_not_count() {
        let model = tiny(1);
        let own = fingerprint(model.tokenizer.config(), &model.parameters);
        let mut config = model.tokenizer.config().clone();
        if let QuantizerConfig::Bsq(bsq) = &mut config.quantizer {
            bsq.zeta = 5.0;
        }
        assert_eq!(own, fingerprint(&config, &model.parameters));
    }
}
