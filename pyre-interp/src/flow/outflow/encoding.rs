//! Flows whose pieces are compressed by whoever sends them. Nothing waits for that but other senders: it is done
//! outside of the lock that the reactor takes.

use pyre_http::compression::Encoder;

use super::{FLOW_BYTES_MAX, Mutex, Outflow, Pushed, Stage, State};

/// What compresses the pieces of one flow. Whoever has it sends the next piece.
pub(super) type Coder = Mutex<Encoder>;

impl Outflow {
    /// Whether its pieces can still be compressed: what is published to it is written by the reactor, as it is.
    #[must_use]
    pub fn may_be_encoded(&self) -> bool {
        !self.is_subscribed() && !self.state.lock().has_early_offers()
    }

    /// Its pieces are compressed, those too that were sent before. Once, and before it is attached.
    ///
    /// # Threads
    /// Takes its time; so do `push` and `end` from now on. None of them is for a thread that is attached to an
    /// interpreter.
    pub fn encode(&self, encoder: Encoder) {
        let coder = self.coder.get_or_init(|| Mutex::new(encoder));
        let mut coder = coder.lock();
        let early = {
            let mut state = self.state.lock();
            debug_assert!(state.reader.is_none(), "its pieces are not framed yet");
            state.begin_encoding()
        };
        let mut out = Vec::new();
        if !early.is_empty() {
            coder.push(&early, &mut out);
        }
        let mut state = self.state.lock();
        if state.stage == Stage::Ended {
            coder.end(&mut out);
        }
        if matches!(state.stage, Stage::Open | Stage::Ended) && !out.is_empty() {
            state.known.add(out.len());
            state.append(&out);
        }
    }

    /// Whether its pieces are compressed.
    #[must_use]
    pub fn is_encoded(&self) -> bool {
        self.coder.get().is_some()
    }

    #[cold]
    pub(super) fn push_encoded(&self, coder: &Coder, piece: &[u8]) -> Pushed {
        let mut coder = coder.lock();
        let refusal = || {
            let state = self.state.lock();
            match state.stage {
                Stage::Open if state.pieces.len() >= FLOW_BYTES_MAX => Some(Pushed::Full),
                Stage::Open => None,
                Stage::Ended | Stage::Failed | Stage::Over => Some(Pushed::Ended),
                Stage::Gone => Some(Pushed::Gone),
            }
        };
        match refusal() {
            None if piece.is_empty() => return Pushed::Taken,
            None => {}
            Some(refusal) => return refusal,
        }
        let mut out = Vec::new();
        coder.push(piece, &mut out);
        if let Some(refusal @ (Pushed::Ended | Pushed::Gone)) = refusal() {
            coder.give_up();
            return refusal;
        }
        let mut state = self.state.lock();
        if state.stage != Stage::Open {
            return Pushed::Gone;
        }
        state.append(&out);
        state.known.add(out.len());
        state.note_tail(piece);
        self.tell(state);
        Pushed::Taken
    }

    #[cold]
    pub(super) fn end_encoded(&self, coder: &Coder) -> bool {
        let mut coder = coder.lock();
        let mut out = Vec::new();
        coder.end(&mut out);
        let mut state = self.state.lock();
        if state.stage != Stage::Open {
            return false;
        }
        state.append(&out);
        state.known.bytes += out.len() as u64;
        self.close(state, Stage::Ended);
        true
    }

    /// As `push_comment`. It is a few bytes, so that the reactor may compress them; not while somebody sends, who
    /// makes it needless.
    pub(super) fn push_comment_encoded(&self, coder: &Coder, comment: &[u8]) {
        let Some(mut coder) = coder.try_lock() else { return };
        let mut state = self.state.lock();
        if state.stage == Stage::Open && state.takes_comment() {
            let mut out = Vec::new();
            coder.push(comment, &mut out);
            state.append(&out);
            self.tell(state);
        }
    }

    /// Nothing of it is sent any more: the memory of its encoder comes back, unless somebody is at work with it,
    /// who sees to that.
    pub(super) fn give_encoder_up(&self) {
        if let Some(mut coder) = self.coder.get().and_then(|coder| coder.try_lock()) {
            coder.give_up();
        }
    }
}

impl State {
    /// Takes what was sent so far. What comes is compressed, and nobody knows how long it is.
    fn begin_encoding(&mut self) -> Vec<u8> {
        self.is_encoded = true;
        self.delimited = pyre_http::h1::serialize::Delimited::Close;
        self.early.clear();
        self.known.bytes = 0;
        std::mem::take(&mut self.pieces)
    }
}
