"""A floor for benchmarks, not a design: the least code that lets librdkafka produce, fetch and list offsets.

Unsafe, incomplete, single node, no groups, keeps its index in memory. Run: DATA=<empty folder> NP=<partitions> python prototype_broker.py PORT
Needs uvloop, kio and google-crc32c.
"""

import asyncio, struct, os, io, time, sys, uvloop, uuid, gc, datetime
from google_crc32c import value as crc32c
import kio.index as ki
from kio.serial import entity_reader, entity_writer
from kio.schema.types import *
from kio.static.primitive import *
from kio.schema.errors import ErrorCode
import kio.schema.api_versions.v3.response as av
import kio.schema.metadata.v12.response as md, kio.schema.metadata.v12.request as mdq
import kio.schema.produce.v9.request as pq
import kio.schema.fetch.v12.request as fq
import kio.schema.list_offsets.v7.request as lq, kio.schema.list_offsets.v7.response as lr
from kio.schema.api_versions.v3.response import *

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 19092
NP = int(os.environ.get("NP", "3"))
S = struct.Struct


class Log:
    def __init__(s, path):
        s.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        s.off = 0
        s.pos = 0
        s.index = []
        s.waiters = []

    def append(s, rec):
        n = len(rec)
        (crc,) = struct.unpack_from(">I", rec, 17)
        if crc32c(bytes(rec[21:]) if CP else rec[21:]) != crc:
            raise ValueError
        (cnt,) = struct.unpack_from(">i", rec, 57)
        base = s.off
        hdr = struct.pack(">q", base)
        os.writev(s.fd, [hdr, rec[8:]])
        s.index.append((base, s.pos))
        s.off += cnt
        s.pos += n
        if s.waiters:
            w = s.waiters
            s.waiters = []
            for f in w:
                if not f.done():
                    f.set_result(None)
        return base


CP = os.environ.get("CP")
logs = {}


def getlog(t, p):
    k = (t, p)
    l = logs.get(k)
    if l is None:
        l = logs[k] = Log(os.environ["DATA"] + "/%s-%d.log" % k)
    return l


rp = entity_reader(pq.ProduceRequest)
rf = entity_reader(fq.FetchRequest)
rm = entity_reader(mdq.MetadataRequest)
rl = entity_reader(lq.ListOffsetsRequest)
wm = entity_writer(md.MetadataResponse)
wa = entity_writer(av.ApiVersionsResponse)
wl = entity_writer(lr.ListOffsetsResponse)


def uvar(n):
    o = bytearray()
    while n >= 128:
        o.append(n & 127 | 128)
        n >>= 7
    o.append(n)
    return bytes(o)


def cstr(s):
    s = s.encode()
    return uvar(len(s) + 1) + s


APIS = [(0, 9, 9), (1, 12, 12), (2, 7, 7), (3, 12, 12), (18, 0, 3)]
import bisect


class P(asyncio.BufferedProtocol):
    def connection_made(s, t):
        s.t = t
        s.small = bytearray(65536)
        s.sm = memoryview(s.small)
        s.have = 0
        s.big = None
        t.set_write_buffer_limits(high=1 << 24)

    def get_buffer(s, hint):
        if s.big is not None:
            return s.bigmv[s.have :]
        return s.sm[s.have :]

    def buffer_updated(s, n):
        s.have += n
        if s.big is not None:
            if s.have == len(s.big):
                b = s.big
                s.big = None
                s.bigmv = None
                s.have = 0
                s.req(memoryview(b).toreadonly())
            return
        pos = 0
        have = s.have
        sm = s.sm
        while have - pos >= 4:
            (ln,) = struct.unpack_from(">i", s.small, pos)
            if have - pos - 4 < ln:
                if ln + 4 > 65536 - 0:
                    s.big = bytearray(ln)
                    s.bigmv = memoryview(s.big)
                    got = have - pos - 4
                    s.big[:got] = sm[pos + 4 : have]
                    s.have = got
                    return
                break
            s.req(memoryview(bytes(sm[pos + 4 : pos + 4 + ln])))
            pos += 4 + ln
        if pos:
            rest = bytes(sm[pos:have])
            s.small[: len(rest)] = rest
            s.have = len(rest)

    def req(s, m):
        key, ver, cid, cl = struct.unpack_from(">hhih", m)
        p = 10 + (cl if cl > 0 else 0)
        flex = not (key == 18 and ver < 3)
        if flex:
            p += 1
        if key == 0:
            r = rp(m, p)[0]
            out = []
            out.append(uvar(len(r.topic_data) + 1))
            for td in r.topic_data:
                out.append(cstr(td.name) + uvar(len(td.partition_data) + 1))
                for pd in td.partition_data:
                    l = getlog(td.name, pd.index)
                    b = l.append(pd.records)
                    out.append(struct.pack(">ihqqq", pd.index, 0, b, -1, 0) + b"\x01\x00\x00")
                out.append(b"\0")
            out.append(b"\0\0\0\0\0")
            body = b"".join(out)
            if r.acks != 0:
                s.t.write(struct.pack(">iiB", len(body) + 5, cid, 0) + body)
        elif key == 1:
            r = rf(m, p)[0]
            s.fetch(cid, r)
        elif key == 18:
            resp = ApiVersionsResponse(
                error_code=ErrorCode.none,
                api_keys=tuple(
                    ApiVersion(api_key=i16(a), min_version=i16(b), max_version=i16(c)) for a, b, c in APIS
                ),
                throttle_time=datetime.timedelta(0),
            )
            b = io.BytesIO()
            if ver == 3:
                wa(b, resp)
            else:
                b.write(
                    struct.pack(">hi", 35 if ver != 3 else 0, len(APIS))
                    + b"".join(struct.pack(">hhh", *a) for a in APIS)
                )
            body = b.getvalue()
            s.t.write(struct.pack(">ii", len(body) + 4, cid) + body)
        elif key == 3:
            r = rm(m, p)[0]
            names = [t.name for t in r.topics] if r.topics else []
            resp = md.MetadataResponse(
                throttle_time=datetime.timedelta(0),
                brokers=(
                    md.MetadataResponseBroker(
                        node_id=BrokerId(1), host="127.0.0.1", port=i32(PORT), rack=None
                    ),
                ),
                cluster_id="abc",
                controller_id=BrokerId(1),
                topics=tuple(
                    md.MetadataResponseTopic(
                        error_code=ErrorCode.none,
                        name=TopicName(t),
                        topic_id=uuid.uuid5(uuid.NAMESPACE_DNS, t),
                        is_internal=False,
                        partitions=tuple(
                            md.MetadataResponsePartition(
                                error_code=ErrorCode.none,
                                partition_index=i32(p),
                                leader_id=BrokerId(1),
                                leader_epoch=i32(0),
                                replica_nodes=(BrokerId(1),),
                                isr_nodes=(BrokerId(1),),
                                offline_replicas=(),
                            )
                            for p in range(NP)
                        ),
                        topic_authorized_operations=i32(0),
                    )
                    for t in names
                ),
            )
            b = io.BytesIO()
            wm(b, resp)
            body = b.getvalue()
            s.t.write(struct.pack(">iiB", len(body) + 5, cid, 0) + body)
        elif key == 2:
            r = rl(m, p)[0]
            resp = lr.ListOffsetsResponse(
                throttle_time=datetime.timedelta(0),
                topics=tuple(
                    lr.ListOffsetsTopicResponse(
                        name=t.name,
                        partitions=tuple(
                            lr.ListOffsetsPartitionResponse(
                                partition_index=pp.partition_index,
                                error_code=ErrorCode.none,
                                timestamp=i64(-1),
                                offset=i64(
                                    0 if pp.timestamp == -2 else getlog(t.name, pp.partition_index).off
                                ),
                                leader_epoch=i32(0),
                            )
                            for pp in t.partitions
                        ),
                    )
                    for t in r.topics
                ),
            )
            b = io.BytesIO()
            wl(b, resp)
            body = b.getvalue()
            s.t.write(struct.pack(">iiB", len(body) + 5, cid, 0) + body)
        else:
            raise Exception(key)

    def fetch(s, cid, r, final=False):
        out = [struct.pack(">ihi", 0, 0, 0), uvar(len(r.topics) + 1)]
        total = 0
        ls = []
        for t in r.topics:
            out.append(cstr(t.topic) + uvar(len(t.partitions) + 1))
            for p in t.partitions:
                l = getlog(t.topic, p.partition)
                ls.append(l)
                fo = p.fetch_offset
                data = b""
                if fo < l.off and total < r.max_bytes:
                    i = bisect.bisect_right(l.index, (fo, 1 << 62)) - 1
                    pos = l.index[i][1]
                    want = min(p.partition_max_bytes, l.pos - pos)
                    data = os.pread(l.fd, want, pos)
                    total += len(data)
                out.append(
                    struct.pack(">ihqqq", p.partition, 0, l.off, l.off, 0)
                    + b"\x01"
                    + struct.pack(">i", -1)
                    + uvar(len(data) + 1)
                )
                out.append(data)
                out.append(b"\0")
            out.append(b"\0")
        if total == 0 and not final:
            fut = asyncio.get_event_loop().create_future()
            for l in ls:
                l.waiters.append(fut)
            h = asyncio.get_event_loop().call_later(
                r.max_wait.total_seconds() if hasattr(r.max_wait, "total_seconds") else 0.5,
                lambda: fut.done() or fut.set_result(None),
            )
            fut.add_done_callback(lambda f: (h.cancel(), s.fetch(cid, r, True)))
            return
        out.append(b"\0")
        n = sum(map(len, out))
        s.t.writelines([struct.pack(">iiB", n + 5, cid, 0)] + out)


async def main():
    os.makedirs(os.environ["DATA"], exist_ok=True)
    gc.freeze()
    srv = await asyncio.get_running_loop().create_server(P, "127.0.0.1", PORT)
    await srv.serve_forever()


uvloop.run(main())
