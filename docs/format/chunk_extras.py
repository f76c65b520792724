"""What samples have beside their floats: "Extras" of chunk.md."""

from chunk_columns import MAX_SAMPLES, values
from chunk_numbers import MASK, Bytes, from_bits, need, signed, to_bits

MAX_BUCKETS = 4096
MAX_CELLS = 1 << 20
CUSTOM = -53


def extras(data, count):
    """Pairs of place and histogram (a dict), and triples of first place, end and start."""
    data = Bytes(data)
    head = data.byte()
    need(head in (1, 2, 3, 6, 7, 10, 11), "extras of no kind")
    histograms, starts = [], []
    if head & 2:
        places = runs_of_places(data, count)
        read = singles if head & 4 else columns
        histograms = list(zip(places, read(data, len(places), bool(head & 8))))
    if head & 1:
        starts = runs_of_starts(data, count)
    data.end()
    return histograms, starts


def runs_of_places(data, count):
    places, end = [], 0
    runs = data.varint()
    need(runs > 0, "histograms without a place")
    for _ in range(runs):
        first = end + data.varint()
        end = first + data.varint()
        need(first < end <= count, "a histogram beyond its samples")
        places += range(first, end)
    return places


def runs_of_starts(data, count):
    out, end, start = [], 0, 0
    runs = data.varint()
    need(runs > 0, "starts without a place")
    for _ in range(runs):
        first = end + data.varint()
        end = first + data.varint()
        start = signed(start + data.zigzag())
        need(first < end <= count and start != 0, "a start beyond its samples")
        out.append((first, end, start))
    return out


def shape(data):
    schema = data.byte()
    schema -= (schema & 128) * 2
    need(schema == CUSTOM or -4 <= schema <= 8, "an unknown schema")
    hint = data.byte()
    need(hint < 4, "an unknown hint")
    out = {"schema": schema, "hint": hint, "threshold": data.number(), "bounds": []}
    if schema == CUSTOM:
        number = data.varint()
        need(number <= MAX_BUCKETS, "too many bounds")
        out["bounds"] = [data.number() for _ in range(number)]
    return out


def index_after(data, before):
    index = data.zigzag() if before is None else before + 1 + data.varint()
    need(-(1 << 31) <= index < 1 << 31, "a bucket index over 32 bits")
    return index


def singles(data, count, summed):
    need(not summed, "extras of no kind")
    return [single(data) for _ in range(count)]


def single(data):
    out = shape(data)
    for name in ("count", "sum", "zero_count"):
        out[name] = data.number()
    for side in ("positive", "negative"):
        out[side], index = [], None
        buckets = data.varint()
        need(buckets <= MAX_BUCKETS, "too many buckets")
        for _ in range(buckets):
            index = index_after(data, index)
            out[side].append((index, data.number()))
    return out


def columns(data, count, summed):
    need(count <= MAX_SAMPLES, "more histograms than a chunk has")
    shapes = [shape(data) for _ in range(data.varint())]
    need(0 < len(shapes) <= count, "an impossible number of shapes")
    which = []
    while len(which) < count:
        at, length = (0, count) if len(shapes) == 1 else (data.varint(), data.varint())
        need(at < len(shapes) and 0 < length <= count - len(which), "a run of no shape")
        which += [at] * length
    out = [dict(shapes[at]) for at in which]

    def column(name):
        for one, bits in zip(out, values(data.take(data.varint()), count)):
            one[name] = bits

    for name in ("count", "sum", "zero_count")[int(summed) :]:
        column(name)
    left = MAX_CELLS // count
    for side in ("positive", "negative"):
        buckets = data.varint()
        need(buckets <= left, "more buckets than a chunk can hold")
        left -= buckets
        indexes, before = [], None
        for _ in range(buckets):
            before = index_after(data, before)
            indexes.append(before)
        for one in out:
            one[side] = []
        for index in indexes:
            column("bucket")
            for one in out:
                if one["bucket"] & MASK:
                    one[side].append((index, one["bucket"]))
    if summed:
        for one in out:
            total = from_bits(one["zero_count"])
            for _, bits in one["positive"] + one["negative"]:
                total += from_bits(bits)
            one["count"] = to_bits(total)
    return out


def text(one):
    """A histogram without spaces, numbers as their bits."""
    words = [f"h{one['schema']}", str(one["hint"])]
    words += [f"{one[name]:016x}" for name in ("threshold", "count", "sum", "zero_count")]
    for side in ("positive", "negative"):
        words += [f"{side[0]}{index}={bits:016x}" for index, bits in one[side]]
    words += [f"b{bits:016x}" for bits in one["bounds"]]
    return ",".join(words)


def texts(data, count):
    """Each histogram as `PLACE:...`, each run of starts as `FIRST-END:START`."""
    histograms, starts = extras(data, count)
    out = [f"{place}:{text(one)}" for place, one in histograms]
    return out + [f"{first}-{end}:{start}" for first, end, start in starts]
