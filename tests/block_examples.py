"""Public heads of block and memory formats with what they are, and what is none of each."""

from tests.block_writers import Access

HOST = 1172164929551466300

# Heads after the public examples; the values are worked by hand.
GOLDEN: dict[str, tuple[str, str, list[Access]]] = {
    "msr": (
        "hm_0.csv",
        "128166385295514663,hm,0,Write,9056014336,2048,2833\n128166385295514878,hm,1,Read,11855351808,512,2617\n",
        # (128166385295514663 - 116444736000000000) ticks of 100 ns after 1970.
        [(HOST, 9056014336, 2048, 0, 1), (HOST + 21500, 2**44 + 11855351808, 512, 1, 0)],
    ),
    "systor": (
        "2016022207-LUN0.csv",
        "1456095145.133076000,0.000806000,R,0,899056122368,131072\n1456135202.013118000,,W,4,4096,4096\n",
        [(1456095145133076000, 899056122368, 131072, 0, 0), (1456135202013118000, 2**44 + 4096, 4096, 1, 1)],
    ),
    "spc": (
        "Financial1.spc",
        "0,20941264,8192,W,0.551706,Alpha/NT\n0,20939840,8192,r,0.554041\n1,3436288,15872,W,1.250720,0x123,5.99,test\n",
        [
            (551706000, 20941264, 8192, 0, 1),
            (554041000, 20939840, 8192, 1, 0),
            (1250720000, 2**44 + 3436288, 15872, 2, 1),
        ],
    ),
    "alibaba_block": (
        "io_traces.csv",
        "0,R,126703661056,4096,1577808000000046\n1,W,19496058880,77824,1577808000000426\n",
        [(1577808000000046000, 126703661056, 4096, 0, 0), (1577808000000426000, 2**44 + 19496058880, 77824, 1, 1)],
    ),
    "tencent_block": (
        "tencent_block.csv",
        "1538323200,12910952,128,0,1063\n1538323200,6338688,8,1,1627\n",
        [(1538323200 * 10**9, 12910952, 65536, 0, 0), (1538323200 * 10**9, 2**44 + 6338688, 4096, 1, 1)],
    ),
    "arc": (
        "P6.lis",
        "110765 2 0 0\n7 1 0 1\n",
        [(0, 110765, 512, 0, 0), (0, 110766, 512, 0, 0), (0, 7, 512, 1, 0)],
    ),
    "fio": (
        "iolog",
        "fio version 3 iolog\n2 Nvme1n1 add\n878 Nvme1n1 write 0 16384\n900 Nvme1n1 trim 0 512\n905 a read 512 8\n",
        [(878000, 0, 16384, 0, 1), (905000, 2**44 + 512, 8, 1, 0)],
    ),
    "blkparse": (
        "sde.txt",
        "  8,0    3        1     0.000000000   697  G   W 223490 + 8 [kjournald]\n"
        "  8,0    3        2     0.000001829   697  Q   R 223490 + 8 [kjournald]\n"
        "  8,0    3        3     0.000001900   697  P   N [kjournald]\n"
        "  8,0    3        4     0.000002000   697  Q FWS [kjournald]\n"
        "  8,0    3        5     0.000002197   697  Q  DS 64 + 8 [kjournald]\n"
        "259,0   10     3414     0.020814875 34084  Q  WS 2414127984 + 8 [fio]\n",
        [(1829, 223490, 4096, 0, 0), (20814875, 2**44 + 2414127984, 4096, 1, 1)],
    ),
    "biosnoop": (
        "biosnoop.txt",
        "TIME(s)     COMM           PID    DISK    T SECTOR     BYTES   LAT(ms)\n"
        "0.000004    supervise      1950   xvda1   W 13092560   4096       0.74\n",
        [(4000, 13092560, 4096, 0, 1)],
    ),
    # 0xBE80199C lies in line 0x2FA0066, and 8 bytes from its byte 60 on reach into the next.
    "lackey": (
        "lackey.log",
        "I  0023C790,2\n S BE80199C,4\n M 0025747C,8\n",
        [
            (0, 0x2FA0066, 64, 0, 1),
            (0, 0x95D1, 64, 1, 0), (0, 0x95D2, 64, 1, 0), (0, 0x95D1, 64, 2, 1), (0, 0x95D2, 64, 2, 1),
        ],
    ),
    "pinatrace": (
        "pinatrace.out",
        "0x7f2b4c0e1a53: R 0x7ffd1c2e9a08\n#eof\n",
        [(0, 0x1FFF470BA68, 64, 0, 0)],
    ),
    "memtrace": (
        "memtrace.log",
        "Format: <data address>: <data size>, <(r)ead/(w)rite/opcode>\n"
        "0x00007f59c2d002d3:  5, call\n0x00007ffeacab0ec8:  8, w\n",
        [(0, 0x1FFFAB2AC3B, 64, 0, 1)],
    ),
    "ml_dpc": ("mcf.txt", "3, 13, fdfd3a8c1e00, 401a26, 0\n", [(13, 0x3F7F4EA3078, 64, 0, 0)]),
}  # fmt: skip

# What blkparse 1.2.0 writes of a trace with all kinds of events, with its counts at the end.
BLKPARSE = """\
  8,0    0        2     0.000000000   697  Q   W 223490 + 8 [kjournald]
  8,0    0        3     0.000001000   697  G   W 223490 + 8 [kjournald]
  8,0    0        5     0.000003000   697 UT   W [kjournald] 1768254564
  8,0    0        7     0.000005000   697  D   W 223490 + 8 [kjournald]
  8,0    0        8     0.000006000   697  C   W 223490 + 8 [0]
  8,0    0        9     0.000007000   697  Q  RA 64 + 16 [kjournald]
  8,0    0       10     0.000008000   697  Q FWFS 128 + 1 [kjournald]
  8,0    0       11     0.000009000   697  Q FWS [kjournald]
  8,0    0       12     0.000010000   697  Q   D 512 + 8 [kjournald]
  8,0    0       13     0.000011000   697  Q  RM 1024 + 8 [kjournald]
  8,0    0       14     0.000012000   697  M   R 1032 + 8 [kjournald]
  8,0    0       15     0.000013000   697  X   R 1024 / 2048 [kjournald]
  8,1    0       16     0.000014000   697  A   R 99 + 1 <- (8,0) 35
  8,0    0       17     0.000015000   697  Q  FN [kjournald]
  8,0    0       18     0.000016000   697  D   N 0 (12 00 00 00 24 00 ..) [kjournald]
  8,0    0        0     0.000017000     0  m   N hello message
  8,0    0       20     0.000018000   697  C  RM 1024 + 8 [65531]
  8,0    0       21     0.000019000   697  D   W 36 (12 00 00 00 24 00 ..) [kjournald]
CPU0 (sdz):
 Reads Queued:           4,       16KiB	 Writes Queued:           3,        4KiB
 Read Dispatches:        0,        0KiB	 Write Dispatches:        1,        4KiB
 Reads Requeued:         0		 Writes Requeued:         0
 Reads Completed:        1,        4KiB	 Writes Completed:        1,        4KiB
 Read Merges:            1,        4KiB	 Write Merges:            0,        0KiB
 Read depth:             1        	 Write depth:             1
 PC Reads Queued:        0,        0KiB	 PC Writes Queued:        0,        0KiB
 PC Read Disp.:          1,        0KiB	 PC Write Disp.:          1,        0KiB
 PC Reads Req.:          0		 PC Writes Req.:          0
 PC Reads Compl.:        0		 PC Writes Compl.:        0
 IO unplugs:             0        	 Timer unplugs:           1

Throughput (R/W): 0KiB/s / 0KiB/s
Events (sdz): 18 entries
Skips: 0 forward (0 -   0.0%)
Input file sdz.blktrace.0 added
"""

BAD = [
    ("msr", "Timestamp,Hostname,Disk,Type,Offset,Size,ResponseTime\n1,h,0,Read,1,1,1\n", "line 1: has no column 'Disk"),
    ("msr", "128166385295514663,hm,0,Write,9,2,2\n128166385295514663,hm,0,Wri", "line 2: has 4 fields; expected 7"),
    ("msr", "12816638529551466x,hm,0,Write,9,2,2\n", "line 1: column 'Timestamp' is '12816638529551466x'"),
    ("msr", "1,hm,0,Write,9,2,2\n1,hm,0,Erase,9,2,2\n", "column 'Type': 'Erase' (1) in 2 rows"),
    ("msr", "1,hm,0,Write,+9,2,2\n", "line 1: column 'Offset' is '+9'"),
    ("msr", "1,hm,0,Write,9,0,2\n", "line 1: column 'Size' is 0"),
    ("systor", "1.5,0.1,R,0,4096,512\n1.5,0.1,R,0,,512\n", "line 2: column 'Offset' is missing"),
    ("systor", "1.5,0.1,X,0,4096,512\n", "column 'IOType': 'X' (1)"),
    ("spc", "2,30862016,4096,W,2 448003\n", "line 1: column 'Timestamp' is '2 448003'"),
    ("spc", "2,30862016,4096,W\n", "line 1: has 4 fields; expected at least 5"),
    ("alibaba_block", "0,R,1,4096,5\n0,R,1,4096\n", "line 2: has 4 fields; expected 5"),
    ("tencent_block", "1,2,3,2,4\n", "column 'IOType': '2' (1)"),
    ("arc", "1 2 0 0\n1 2 0\n", "line 2: has 3 fields; expected 4"),
    ("arc", "1 1_0 0 0\n", "line 1: column 'n_blocks' is '1_0'"),
    ("fio", "fio version 1 iolog\nread, 0, 8\n", "line 1: is 'fio version 1 iolog'; expected 'fio version 3 iolog' or"),
    ("fio", "fio version 3 iolog\n2 a add\n878 a write\n", "line 3: is '878 a write'; expected TIME FILE"),
    ("fio", "fio version 3 iolog\n8 a read 1 1\na read 1 1\n", "line 3: is 'a read 1 1'"),
    # fio appends to a log that is there, and its times begin anew.
    ("fio", "fio version 3 iolog\n8 a read 1 1\nfio version 3 iolog\n", "line 3: is 'fio version 3 iolog'"),
    ("fio", "fio version 2 iolog\n\na read 1 1\n5 a read 1 1\n", "line 4: is '5 a read 1 1'"),
    (
        "blkparse",
        "8,0 3 1 0.0 697 Q W 223490 + 8 [a]\n8,0 3 1 0.0 697 Q W 2234",
        "line 2: is '8,0 3 1 0.0 697 Q W 2234'",
    ),
    ("biosnoop", "TIME(ms) DISK COMM PID LAT(ms)\n", "line 1: is 'TIME(ms) DISK"),
    ("lackey", " L 10,8\n\nhello from the program\n", "line 3: is 'hello from the program'; expected I, L, S or M"),
    ("lackey", " L 1_0,8\n", "line 1: is ' L 1_0,8'"),
    ("lackey", " L 10,8\n L 10000000000000000,8\n", "line 2: column 'address' is '10000000000000000'"),
    ("pinatrace", "0x1: R 0x40\n0x1: X 0x40\n", "line 2: is '0x1: X 0x40'"),
    ("memtrace", "0x01: 8, w\n0x01: 8, \n", "line 2: is '0x01: 8, '"),
    ("ml_dpc", "3, 13, fdfd, 401a26, 0\n3, 13, fdfd, 401a26, 2\n", "line 2: is '3, 13, fdfd, 401a26, 2'"),
    ("addresses", "l 0x1_0\n", "line 1: expected l or s and a hex address"),
    ("addresses", "l +1\n", "line 1: expected l or s and a hex address"),
    ("addresses", "l 10\ns -0\n", "line 2: expected l or s and a hex address"),
]
