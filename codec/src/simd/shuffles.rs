//! Where the bytes of packed numbers go, for every width.
//!
//! Values of one width lie at the same bits of every `width` bytes, so one shuffle of bytes and one
//! shift by lane align eight of them (D. Lemire, L. Boytsov, "Decoding billions of integers per
//! second through vectorization", 2015, for the idea; here on the plain horizontal layout).

use crate::bitpack::MAX_WIDTH;

/// For each width the byte of 64 that goes to each place, eight bytes for each of eight
/// values, and by how much each of them is then shifted.
pub(super) static SHUFFLES: [([u8; 64], [u64; 8]); MAX_WIDTH as usize + 1] = shuffles();

const fn shuffles() -> [([u8; 64], [u64; 8]); MAX_WIDTH as usize + 1] {
    let mut all = [([0; 64], [0; 8]); MAX_WIDTH as usize + 1];
    let mut width = 0;
    while width < all.len() {
        let mut lane = 0;
        while lane < 8 {
            let bit = lane * width;
            all[width].1[lane] = (bit % 8) as u64;
            let mut byte = 0;
            while byte < 8 {
                all[width].0[lane * 8 + byte] = (bit / 8 + byte) as u8;
                byte += 1;
            }
            lane += 1;
        }
        width += 1;
    }
    all
}
