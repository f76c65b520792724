//! What one reader sees: the live blocks, the heads that are being flushed, the head that grows.
//!
//! Input: publications by flush. Output: an `Arc` that stays as it is for as long as it is held; a
//! head and the block made of it are never in the same view.

use std::sync::Arc;

use crate::block::Block;
use crate::head::Head;
use crate::sync::RwLock;

/// See the head of this file.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// In order of sequence: of two that hold the same sample, the later one wins.
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Heads that take no more samples and are not in blocks yet, oldest first.
    pub(crate) frozen: Vec<Arc<Head>>,
    /// The head that appends go to.
    pub(crate) live: Arc<Head>,
}

/// The current view.
#[derive(Debug)]
pub(crate) struct CurrentView {
    view: RwLock<Arc<View>>,
}

impl CurrentView {
    pub(crate) fn new(mut view: View) -> Self {
        view.sort();
        Self {
            view: RwLock::new(Arc::new(view)),
        }
    }

    /// The view as it is now.
    pub(crate) fn get(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    /// Freezes the live head and lets appends go on in `live`.
    pub(crate) fn freeze(&self, live: Arc<Head>) {
        let mut current = self.view.write();
        let mut view = View::clone(&current);
        view.frozen.push(std::mem::replace(&mut view.live, live));
        *current = Arc::new(view);
    }

    /// Replaces the frozen head `flushed` by the blocks made of it.
    pub(crate) fn publish(&self, flushed: &Arc<Head>, blocks: Vec<Arc<Block>>) {
        let mut current = self.view.write();
        let mut view = View::clone(&current);
        view.frozen.retain(|head| !Arc::ptr_eq(head, flushed));
        view.blocks.extend(blocks);
        view.sort();
        *current = Arc::new(view);
    }
}

impl View {
    /// All heads, oldest first.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Arc<Head>> {
        self.frozen.iter().chain(std::iter::once(&self.live))
    }

    fn sort(&mut self) {
        self.blocks
            .sort_by_key(|block| (block.max_sequence(), block.min_time(), block.id()));
    }
}
