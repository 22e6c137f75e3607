//! A small writer of JPEG files for tests: any sampling, scans and restart intervals.
//!
//! Each block has one DC coefficient and no others, so a component is flat in squares of 8x8
//! samples, and what a right decoder makes of it can be said without one.

/// What to write.
#[derive(Clone, Debug)]
pub(in super::super) struct Plan {
    pub width: usize,
    pub height: usize,
    /// Identifier and sampling factors of each component.
    pub components: Vec<(u8, usize, usize)>,
    /// Components of each scan.
    pub scans: Vec<Vec<usize>>,
    /// MCUs between restart markers; 0 for none.
    pub restart: usize,
    /// Segments in front of the frame.
    pub extra: Vec<u8>,
    /// The value of each component's block in a column and row.
    pub value: fn(usize, usize, usize) -> u8,
    pub progressive: bool,
}

impl Plan {
    /// A picture of three components in one scan, whose colour is the same everywhere.
    pub fn flat(width: usize, height: usize, factors: [(usize, usize); 3]) -> Plan {
        Plan {
            width,
            height,
            components: (1..).zip(factors).map(|(id, (h, v))| (id, h, v)).collect(),
            scans: vec![vec![0, 1, 2]],
            restart: 0,
            extra: Vec::new(),
            value: |component, _, _| [96, 176, 72][component],
            progressive: false,
        }
    }

    /// The file, with its end marker.
    pub fn write(&self) -> Vec<u8> {
        let mut file = vec![0xFF, 0xD8];
        file.extend(&self.extra);
        // All quantization steps are 8: a DC coefficient is then the difference from 128.
        segment(&mut file, 0xDB, &[[0].as_slice(), &[8; 64]].concat());
        let mut frame = vec![8];
        frame.extend((self.height as u16).to_be_bytes());
        frame.extend((self.width as u16).to_be_bytes());
        frame.push(self.components.len() as u8);
        for &(id, h, v) in &self.components {
            frame.extend([id, (16 * h + v) as u8, 0]);
        }
        segment(
            &mut file,
            if self.progressive { 0xC2 } else { 0xC0 },
            &frame,
        );
        // Twelve DC codes of 4 bits; one AC code of 1 bit, the end of a block.
        let dc: Vec<u8> = [
            [0, 0, 0, 12].as_slice(),
            &[0; 12],
            &(0..12).collect::<Vec<_>>(),
        ]
        .concat();
        segment(&mut file, 0xC4, &[[0x00].as_slice(), &dc].concat());
        let ac: Vec<u8> = [[1].as_slice(), &[0; 15], &[0]].concat();
        segment(&mut file, 0xC4, &[[0x10].as_slice(), &ac].concat());
        if self.restart > 0 {
            segment(&mut file, 0xDD, &(self.restart as u16).to_be_bytes());
        }
        for scan in &self.scans {
            self.scan(scan, &mut file);
        }
        if self.progressive {
            for component in 0..self.components.len() {
                self.empty_scan(component, &mut file);
            }
        }
        file.extend([0xFF, 0xD9]);
        file
    }

    fn header(&self, scan: &[usize], band: [u8; 3], file: &mut Vec<u8>) {
        let mut header = vec![scan.len() as u8];
        for &component in scan {
            header.extend([self.components[component].0, 0]);
        }
        header.extend(band);
        segment(file, 0xDA, &header);
    }

    /// Columns and rows of the MCUs of a scan.
    fn grid(&self, scan: &[usize]) -> (usize, usize) {
        let most = |of: fn(&(u8, usize, usize)) -> usize| self.components.iter().map(of).max();
        let (h, v) = (most(|c| c.1).unwrap(), most(|c| c.2).unwrap());
        match *scan {
            [component] => {
                let (_, own_h, own_v) = self.components[component];
                let along = |pixels: usize, own: usize, most: usize| {
                    (pixels * own).div_ceil(most).div_ceil(8)
                };
                (along(self.width, own_h, h), along(self.height, own_v, v))
            }
            _ => (self.width.div_ceil(8 * h), self.height.div_ceil(8 * v)),
        }
    }

    fn scan(&self, scan: &[usize], file: &mut Vec<u8>) {
        let to = if self.progressive { 0 } else { 63 };
        self.header(scan, [0, to, 0], file);
        let (across, down) = self.grid(scan);
        let mut bits = Bits::default();
        let mut before = [0; 4];
        for mcu in 0..across * down {
            if self.restart > 0 && mcu > 0 && mcu % self.restart == 0 {
                bits.flush(file);
                file.extend([0xFF, 0xD0 + ((mcu / self.restart - 1) % 8) as u8]);
                before = [0; 4];
            }
            let (column, row) = (mcu % across, mcu / across);
            for &component in scan {
                let (_, h, v) = self.components[component];
                let (h, v) = if scan.len() == 1 { (1, 1) } else { (h, v) };
                for inner in 0..h * v {
                    let (x, y) = (column * h + inner % h, row * v + inner / h);
                    let value = i32::from((self.value)(component, x, y)) - 128;
                    let difference = value - before[component];
                    before[component] = value;
                    let size = 32 - difference.unsigned_abs().leading_zeros();
                    bits.put(size, 4);
                    let coded = difference + if difference < 0 { (1 << size) - 1 } else { 0 };
                    bits.put(coded as u32, size);
                    if !self.progressive {
                        bits.put(0, 1);
                    }
                }
            }
        }
        bits.flush(file);
    }

    /// The AC coefficients of a component, none of which is there.
    fn empty_scan(&self, component: usize, file: &mut Vec<u8>) {
        self.header(&[component], [1, 63, 0], file);
        let (across, down) = self.grid(&[component]);
        let mut bits = Bits::default();
        for block in 0..across * down {
            if self.restart > 0 && block > 0 && block % self.restart == 0 {
                bits.flush(file);
                file.extend([0xFF, 0xD0 + ((block / self.restart - 1) % 8) as u8]);
            }
            bits.put(0, 1);
        }
        bits.flush(file);
    }
}

/// Appends a marker segment.
pub(in super::super) fn segment(file: &mut Vec<u8>, marker: u8, content: &[u8]) {
    file.extend([0xFF, marker]);
    file.extend((content.len() as u16 + 2).to_be_bytes());
    file.extend(content);
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    buffer: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, bits: u32, count: u32) {
        self.buffer = self.buffer << count | bits;
        self.count += count;
        while self.count >= 8 {
            let byte = (self.buffer >> (self.count - 8)) as u8;
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
            self.count -= 8;
        }
        self.buffer &= (1 << self.count) - 1;
    }

    fn flush(&mut self, file: &mut Vec<u8>) {
        if self.count > 0 {
            let spare = 8 - self.count;
            self.put((1 << spare) - 1, spare);
        }
        file.append(&mut self.bytes);
    }
}
