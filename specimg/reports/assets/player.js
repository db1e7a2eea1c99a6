// One sound at a time, and a cursor that goes over the picture with it.

const sound = document.getElementById("sound");
const playing = { card: null, clip: null, address: null, wanted: null };

const isLinked = (i) => typeof clips.sound[i] === "string";
const isSilent = (i) => clips.sound[i] === null;

const LONGEST = 300; // seconds that are decoded beforehand

// 16-bit samples as a WAV file
function waveFile(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, text) => [...text].forEach((letter, k) => view.setUint8(at + k, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, k) => view.setInt16(44 + 2 * k, Math.max(-1, Math.min(1, x)) * 32767, true));
  return new Blob([view.buffer], { type: "audio/wav" });
}

// Players include the 6.5 ms that an Opus encoder puts before the sound; decoded, its duration is exact.
async function soundAddress(i) {
  if (isLinked(i)) return clips.sound[i];
  const bytes = bytesOf(mediaOf("sounds", i));
  let file = new Blob([bytes], { type: "audio/ogg" });
  try {
    if (clips.seconds[i] <= LONGEST) {
      const decoded = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes.buffer);
      file = waveFile(decoded.getChannelData(0), decoded.sampleRate);
    }
  } catch (error) {
    /* a browser that cannot decode it may still play it; if not, there is an `error` event */
  }
  return URL.createObjectURL(file);
}

// the current position in the recording, seconds
const positionIn = (i) => sound.currentTime + (isLinked(i) ? 0 : clips.begin[i]);
const shareOf = (i, seconds) => (seconds - clips.left[i]) / (clips.edge[i] - clips.left[i]);

// the end of a linked recording's span: not every browser respects its media fragment
const lastSecond = (i) => (isLinked(i) && isNumber(clips.seconds[i]) ? clips.begin[i] + clips.seconds[i] : Infinity);

function moveCursor() {
  const { card, clip } = playing;
  if (!card) return;
  if (sound.currentTime > lastSecond(clip)) {
    sound.pause();
    sound.currentTime = lastSecond(clip); // a late frame leaves neither cursor nor clock beyond the span
  }
  if (isNumber(clips.left[clip])) {
    const share = Math.min(1, Math.max(0, shareOf(clip, positionIn(clip))));
    card.cursor.style.left = `${(100 * share).toFixed(2)}%`;
  }
  if (!sound.paused) requestAnimationFrame(moveCursor);
}

function showState(card, isPlaying) {
  card.play.replaceChildren(icon(isPlaying ? ICONS.pause : ICONS.play));
  card.play.ariaPressed = String(isPlaying);
  card.root.classList.toggle("playing", isPlaying);
}

function letGo() {
  sound.pause();
  if (playing.card) showState(playing.card, false);
  if (playing.card) playing.card.root.classList.remove("held");
  if (playing.address && playing.address.startsWith("blob:")) URL.revokeObjectURL(playing.address);
  playing.card = playing.address = null;
}

// true where the card's sound is the one that is loaded: meanwhile another may have been started
async function load(card) {
  letGo();
  Object.assign(playing, { card, clip: card.clip, wanted: null });
  card.root.classList.add("held");
  const address = await soundAddress(card.clip);
  if (playing.card !== card || playing.address) return playing.card === card;
  playing.address = sound.src = address;
  return true;
}

// `at`: seconds in the recording to play from; null is the current position
async function playCard(card, at = null) {
  if (isSilent(card.clip)) return;
  if ((playing.card !== card || !playing.address) && !(await load(card))) return;
  const first = isLinked(card.clip) ? clips.begin[card.clip] : 0;
  const over = sound.ended || sound.currentTime >= lastSecond(card.clip) - 0.01;
  if (at !== null) playing.wanted = Math.max(0, at - (isLinked(card.clip) ? 0 : clips.begin[card.clip]));
  else if (over) playing.wanted = first;
  if (playing.wanted !== null && sound.readyState > 0) seek();
  sound.play().catch(() => {}); // failures are handled by the `error` event
}

function seek() {
  if (playing.wanted !== null) sound.currentTime = playing.wanted;
  playing.wanted = null;
}

function toggleCard(card) {
  if (playing.card === card && !sound.paused) sound.pause();
  else playCard(card);
}

sound.addEventListener("loadedmetadata", () => {
  if (!playing.card) return;
  playing.card.play.dataset.duration = isLinked(playing.clip) ? clips.seconds[playing.clip] : sound.duration;
  seek();
});
sound.addEventListener("play", () => {
  if (playing.card) {
    showState(playing.card, true);
    requestAnimationFrame(moveCursor);
  }
});
sound.addEventListener("pause", () => {
  if (playing.card) {
    showState(playing.card, false);
    moveCursor();
  }
});
sound.addEventListener("error", () => {
  if (!playing.card || !sound.getAttribute("src")) return;
  const linked = isLinked(playing.clip);
  playing.card.note(
    linked
      ? "The linked recording is not where it was, or the browser cannot play its format."
      : "This browser cannot play Ogg Opus.",
  );
  letGo();
});
