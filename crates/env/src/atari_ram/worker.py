"""Plays Atari games for another process: commands on standard input, answers on standard output.

Argument: the file of the compiled module of ale-py, which is GPL-2.0 and stays in this process.

A command is 12 bytes, `op, a, -, -, slot (u32), n (u32)`, and n bytes; an answer is the same, with whether the game is over for `a`. Commands are carried
out in their order, so many can wait at once. The process ends when its standard input does.
"""

import importlib.util
import os
import signal
import struct
import sys

HEAD = struct.Struct("<BBxxII")
# Reward, lives, frame of the episode; the memory follows.
ROW = struct.Struct("<BBxxIIiii")
AGAIN = 255


class End(Exception):
    """Nobody asks any more."""


class Game:
    """One emulator."""

    def __init__(self, module, slot, rom, exact, skip):
        self.rom, self.exact, self.slot, self.skip = rom, exact, slot, skip
        self.ale = module.ALEInterface()
        # Nothing of an episode is left to chance, so the emulator's seed is never drawn from.
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.load()
        self.start = self.ale.cloneState() if exact else None
        self.fresh = True
        self.seen, self.palette = set(), bytearray(768)

    def load(self):
        self.ale.loadROM(self.rom)
        self.ale.reset_game()

    def reset(self):
        """The state after loading: restored, which takes a thousandth of the time, where that is exact."""
        if self.fresh:
            self.fresh = False
        elif self.exact:
            self.ale.restoreState(self.start)
        else:
            self.load()

    def play(self, codes):
        """All of these actions; the reward of the last. AGAIN starts the next episode as the console does, without loading."""
        act, reward = self.ale.act, 0
        for code in codes:
            reward = 0
            if code == AGAIN:
                self.ale.reset_game()
                continue
            for _ in range(self.skip):
                reward += act(code)
        return reward

    def screen(self):
        """Height and width, the pixels' colour numbers, and the colour of each number that was ever there."""
        height, width = self.ale.getScreenDims()
        pixels = bytearray(height * width)
        self.ale.getScreen(memoryview(pixels).cast("B", (height, width)))
        new = set(pixels) - self.seen
        if new:
            colours = bytearray(3 * height * width)
            self.ale.getScreenRGB(memoryview(colours).cast("B", (height, width, 3)))
            for number in new:
                at = 3 * pixels.index(number)
                self.palette[3 * number : 3 * number + 3] = colours[at : at + 3]
            self.seen |= new
        return struct.pack("<HH", height, width) + pixels + self.palette

    def bare(self, codes):
        """The plain loop over these actions, which nobody who drives an emulator is faster than."""
        ale, act, memory, skip = self.ale, self.ale.act, bytearray(128), self.skip
        for code in codes:
            for _ in range(skip):
                act(code)
            ale.getRAM(memory)
            if ale.game_over(with_truncation=False):
                self.reset()


class Rows:
    """Answers about steps, which leave together: each that leaves alone wakes who waits for it, at a tenth of a step's time."""

    MOST = 16
    SIZE = ROW.size + 128

    def __init__(self):
        self.data = memoryview(bytearray(self.MOST * self.SIZE))
        starts = range(0, len(self.data), self.SIZE)
        self.places = [(start, self.data[start + ROW.size : start + self.SIZE]) for start in starts]
        self.count = 0

    def add(self, game, reward):
        start, memory = self.places[self.count]
        ale = game.ale
        ale.getRAM(memory)
        over = ale.game_over(with_truncation=False)
        ROW.pack_into(self.data, start, 0, over, game.slot, 140, reward, ale.lives(), ale.getEpisodeFrameNumber())
        self.count += 1

    def leave(self):
        if self.count:
            write(self.data[: self.count * self.SIZE])
            self.count = 0


def say(slot, data):
    write(HEAD.pack(0, 0, slot, len(data)) + data)


def write(data):
    while data:
        data = data[os.write(1, data) :]


def other(module, games, rows, op, slot, data):
    """Whatever is no step. What it answers leaves at once."""
    if op == ord("m"):
        rom, exact, skip = data[2:].decode(), bool(data[0]), data[1]
        games[slot] = Game(module, slot, rom, exact, skip)
        return
    if op == ord("d"):
        games.pop(slot, None)
        return
    game = games[slot]
    rows.leave()
    if op == ord("p"):
        game.reset()
        rows.add(game, game.play(data))
        rows.leave()
    elif op == ord("f"):
        say(slot, game.screen())
    elif op == ord("b"):
        game.bare(data)
        rows.add(game, 0)
        rows.leave()
    else:
        raise ValueError(f"no command {op}")


def serve(module):
    games, rows, data, at = {}, Rows(), b"", 0
    unpack, size, step = HEAD.unpack_from, HEAD.size, ord("s")

    def more(needed):
        nonlocal data, at
        rows.leave()
        data, at = data[at:], 0
        while len(data) < needed:
            read = os.read(0, 1 << 16)
            if not read:
                raise End
            data += read

    while True:
        if len(data) - at < size:
            more(size)
        op, a, slot, n = unpack(data, at)
        if op == step:
            at += size
            game = games[slot]
            act, reward = game.ale.act, 0
            for _ in range(game.skip):
                reward += act(a)
            rows.add(game, reward)
            # Half of the games: while those are thought about, the others are played.
            if rows.count == rows.MOST or 2 * rows.count >= len(games):
                rows.leave()
            continue
        if len(data) - at < size + n:
            more(size + n)
        payload = data[at + size : at + size + n]
        at += size + n
        other(module, games, rows, op, slot, payload)


def main():
    # Who stops the training stops it, not its workers: they end with their standard input.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    spec = importlib.util.spec_from_file_location("_ale_py", sys.argv[1])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ALEInterface.setLoggerMode(module.LoggerMode.Error)
    say(0, module.__version__.encode())
    try:
        serve(module)
    except (End, BrokenPipeError):
        pass


main()
