"""A program that imports much, and can tell whether two types of its interpreter share a version.

Variables: ``STARTS_IMPORT`` names further modules to import; ``STARTS_TOGETHER`` says whether
workers load the program together, whatever is sound on this CPython.
"""

import asyncio
import bz2
import csv
import ctypes
import datetime as dt
import decimal
import email.message
import hashlib
import http.client
import json
import logging.config
import lzma
import mmap
import multiprocessing
import os
import pickle
import queue
import random
import select
import sqlite3
import ssl
import statistics
import struct
import threading
import unicodedata
import urllib.request
import uuid
import xml.dom.minidom
import zlib
import zoneinfo
from xml.etree import ElementTree as ET

from pyreframework import Pyre
from pyreframework.program import loading

for name in filter(None, os.environ.get("STARTS_IMPORT", "").split(",")):
    __import__(name)
if "STARTS_TOGETHER" in os.environ:
    loading.MAY_LOAD_TOGETHER = os.environ["STARTS_TOGETHER"] == "1"

# tp_version_tag in PyTypeObject, on 64-bit machines; higher ones are an interpreter's own.
VERSION_AT = 0x180
SHARED_MAX = 0xFFFF

app = Pyre()


@app.get("/")
def index(req):
    """How many versions of the common counter this interpreter has, and which it has twice."""
    kinds, waiting = {object}, [object]
    while waiting:
        new = set(type.__subclasses__(waiting.pop())) - kinds
        kinds |= new
        waiting += new
    owners = {}
    for kind in kinds:
        version = ctypes.c_uint32.from_address(id(kind) + VERSION_AT).value
        if 0 < version <= SHARED_MAX:
            owners.setdefault(version, []).append(str(kind))
    twice = [names for names in owners.values() if len(names) > 1]
    return {"versions": len(owners), "twice": twice}


@app.get("/used")
def used(req):
    """Something of each module that has a C part."""
    found = [
        asyncio.iscoroutine(None), bz2.compress(b"a"), csv.reader([]), dt.datetime.now(dt.UTC),
        decimal.Decimal("1.1") + 1, email.message.Message(), hashlib.sha256(b"a").hexdigest(),
        http.client.OK, json.loads("[1]"), logging.getLogger("a"), lzma.compress(b"a"),
        mmap.PAGESIZE, multiprocessing.cpu_count(), pickle.loads(pickle.dumps([1])),
        queue.SimpleQueue(), random.random(), select.epoll().close(),
        sqlite3.connect(":memory:").execute("select 1").fetchone(), ssl.create_default_context(),
        statistics.mean([1, 2]), struct.pack("i", 1), threading.Lock(), unicodedata.name("a"),
        urllib.request.Request("http://a"), uuid.uuid4(), xml.dom.minidom.parseString("<a/>"),
        ET.fromstring("<a/>"), zlib.compress(b"a"), zoneinfo.ZoneInfo("UTC"),
    ]  # fmt: skip
    return len(found)


if __name__ == "__main__":
    app.run()
