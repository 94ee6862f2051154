#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of every fuzz target: corpus/TARGET/seed-*. What a fuzzer found
stands beside them under other names and is not touched.

Usage: make_seeds.py        Only the standard library; gives the same bytes every time.
"""
import gzip
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(HERE, '../golden/run-1')


def put(target, name, data):
    folder = os.path.join(HERE, 'corpus', target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'seed-' + name), 'wb') as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def text(value):
    data = value.encode()
    return struct.pack('<I', len(data)) + data


def framed(kind, payload):
    return struct.pack('<BH', kind, len(payload)) + payload


def epoch(*values):
    return struct.pack('<6f', *values)


CELL = json.dumps({'space': 'rnn-dag', 'nodes': [
    {'activation': 'tanh', 'previous': -1}, {'activation': 'relu', 'previous': 0}]})


def messages():
    hello = (text('n1') + text('0.1.0') + text('avx2 generic') + struct.pack('<q', 4711) +
             text('0-3,8') + struct.pack('<i', 4) + text('0:0-3;1:8') + text('0,1') +
             struct.pack('<q', 1 << 33))
    welcome = (text('name: x\n') + text('/runs/x') + struct.pack('<i', 2) +
               (text('0-1') + text('0') + struct.pack('<i', -1)) * 2)
    task = (struct.pack('<QQiiBQidd', 3, 99, 1, 0, 3, 7, 0, 60.0, 2.5) +
            text('{"layers": []}') + text('{}'))
    progress = struct.pack('<QiiI', 3, 1, 0, 2) + epoch(1, .5, 1, .5, .1, 2)
    result = (struct.pack('<QiiBdddI', 3, 1, 0, 0, 2.5, 1e3, 1e6, 2) +
              epoch(1, .5, 1, .5, .1, 2) * 2 + text('') + text('avx2') + text(CELL) +
              struct.pack('<d', -2.5))
    failure = (struct.pack('<QiiBdddI', 3, 1, 0, 2, 2.5, 1e3, 1e6, 0) +
               text('killed by signal 9') + text('') + text('') + struct.pack('<d', float('nan')))
    all_of = [(1, hello), (2, welcome), (3, b''), (4, task), (5, struct.pack('<Qi', 3, 1)),
              (6, progress), (7, result), (7, failure), (8, struct.pack('<ii', 1, 2)),
              (9, b'\1'), (10, text('no trainer')), (11, b''),
              (12, struct.pack('<QiiBId', 3, 1, 0, 3, 2, 2.5) + text('torn')), (13, b''),
              (14, struct.pack('<QiiQi', 3, 1, 0, 7, 0))]
    for kind, payload in all_of:
        put('message', '%d-%d' % (kind, len(payload)), b'\1' + framed(kind, payload))
    put('message', 'all', b'\1' + b''.join(framed(*one) for one in all_of))
    put('message', 'raw', b'\0' + struct.pack('<IHHI', 0x314d5741, 6, 9, 1) + b'\1')


def lines(*objects):
    return ''.join(json.dumps(one, separators=(',', ':')) + '\n' for one in objects)


READY = {'type': 'ready', 'protocol': 1, 'name': 'fake', 'version': '1', 'kernels': 'k',
         'queue': 2}


def trainer_lines():
    def progress(trial, number, **metrics):
        return {'type': 'progress', 'trial': trial, 'attempt': 1, 'epoch': number,
                'metrics': metrics, 'seconds': 0.5}

    def result(trial, **more):
        return dict({'type': 'result', 'trial': trial, 'attempt': 1, 'status': 'ok'}, **more)

    put('trainer_lines', 'good', '\0' + lines(
        READY, progress(0, 1, val_accuracy=.5, train_loss=1, lr=.1), result(0, seconds=2),
        progress(1, 3, val_accuracy=.25), result(1, params=10, flops=1e6),
        result(2, metrics={'val_accuracy': .75})))
    put('trainer_lines', 'other-metric', '\4' + lines(
        READY, progress(0, 1, score=3, val_accuracy=.5), result(0),
        result(1, metrics={'score': 1e400})))
    put('trainer_lines', 'checkpoints', '\0' + lines(
        dict(READY, checkpoints=True),
        {'type': 'checkpoint', 'trial': 0, 'attempt': 1, 'status': 'continued', 'epoch': 1,
         'seconds': 2.5}, progress(0, 1, val_accuracy=.5),
        {'type': 'checkpoint', 'trial': 0, 'attempt': 1, 'status': 'saved', 'epoch': 1},
        result(0), {'type': 'checkpoint', 'trial': 1, 'attempt': 1, 'status': 'refused',
                    'reason': 'torn'},
        {'type': 'checkpoint', 'trial': 1, 'attempt': 1, 'status': 'suspended', 'epoch': 0}))
    put('trainer_lines', 'relax', '\0' + lines(
        READY, result(0), result(1), result(2, metrics={'train_loss': 2, 'val_loss': None},
                                            architecture=json.loads(CELL))))
    put('trainer_lines', 'relax-wrong', '\0' + lines(
        READY, result(0, architecture={}), result(1), result(2, architecture=[CELL])))
    put('trainer_lines', 'behind', '\0' + lines(
        READY, result(0), result(1),
        {'type': 'behind', 'trial': 2, 'attempt': 1, 'step': 7, 'part': 0}))
    put('trainer_lines', 'failed', '\1' + lines(
        READY, result(0, status='failed', reason='out of memory \u2014 \u0000 again'),
        result(1, status='failed')))
    put('trainer_lines', 'nan', '\0' + lines(READY) +
        '{"type":"progress","trial":0,"attempt":1,"epoch":1,"metrics":{"val_accuracy":NaN}}\n'
        '{"type":"result","trial":1,"attempt":1,"status":"ok",'
        '"metrics":{"val_accuracy":-Infinity},"seconds":null}\n')
    put('trainer_lines', 'wrong', '\2{"type":"ready","protocol":1}\nhello\n')
    put('trainer_lines', 'deep', '\0' + lines(READY) + '{"a":' + '[' * 80 + ']' * 80 + '}\n')
    put('trainer_lines', 'half', '\3' + lines(READY) + '{"type":"resu')
    put('trainer_lines', 'escapes', '\0' + lines(READY).replace('fake', r'\ud83d\ude00\ud83d') +
        '{"type":"result","trial":0,"attempt":1,"status":"failed","reason":"' +
        r'\u00e9\"\\\/\b\f\n\r\t' * 60 + '"}\n')


LAYERS = [{'filter_height': 3, 'filter_width': 1, 'filters': 36, 'stride': 1, 'inputs': [-1]},
          {'filter_height': 5, 'filter_width': 7, 'filters': 24, 'stride': 2,
           'inputs': [-1, 0]}]


def trainer_orders():
    architecture = {'space': 'conv-chain', 'depth': 2, 'tokens': [1, 0, 1, 0], 'layers': LAYERS}
    hello = {'type': 'hello', 'protocol': 1, 'run': 'x', 'seed': 7, 'threads': 2,
             'memory': 1 << 30, 'cache': '/tmp', 'slot': 0,
             'task': {'kind': 'image-classification',
                      'data': {'format': 'generated', 'classes': 10}, 'train': 400},
             'trainer': {'builtin': {'epochs': 3, 'batch': 32,
                                     'optimizer': {'name': 'sgd', 'lr': 0.1}}},
             'reward': {'metric': 'val_accuracy'}}
    task = {'type': 'task', 'trial': 4, 'attempt': 1, 'seed': 9, 'architecture': architecture,
            'hyperparameters': {'epochs': 2, 'optimizer.lr': 0.05,
                                'optimizer': {'momentum': 0}}}
    put('trainer_orders', 'talk', lines(hello, task, {'type': 'cancel', 'trial': 4,
                                                      'attempt': 1}, {'type': 'stop'}))
    put('trainer_orders', 'checkpoint', lines(
        hello, dict(task, checkpoint='/runs/x/checkpoints/4', checkpoint_every=600),
        {'type': 'checkpoint', 'trial': 4, 'attempt': 1},
        dict(task, checkpoint=''), dict(task, checkpoint='x', checkpoint_every=-1)))
    put('trainer_orders', 'hello', lines(hello))
    text_task = {'kind': 'language-model', 'data': {'format': 'generated-text'}}
    darts = dict(hello, task=text_task, pool='/runs/x/pool', reward={'metric': 'val_loss'},
                 space={'name': 'rnn-dag', 'nodes': 5},
                 search={'strategy': 'darts', 'shared': {'order': 2, 'alpha_lr': 0.003}})
    put('trainer_orders', 'relax', lines(
        darts, dict(task, kind='relax', step=7, part=0),
        dict(task, kind='eval_relax', step=8, part=-1), dict(task, kind='relax', part=-1)))
    put('trainer_orders', 'task', lines(task))
    put('trainer_orders', 'wrong', lines(dict(hello, seed=-1), dict(task, trial=1.5),
                                         dict(task, hyperparameters={'kernels': 'avx2'})))


def checkpoints():
    """Of images, and with the second bit of the first byte of a text."""
    head = b'ARCHWAYS' + struct.pack('<IIQ', 2, 0, 40)
    changes = [(at | 1 << 15, value) for at in range(24, 3000, 61) for value in (0, 1, 255)]
    for name, file, change in (('', b'\0', b'\1'), ('text-', b'\2', b'\3')):
        put('checkpoint', name + 'empty', file)
        put('checkpoint', name + 'header', file + head)
        put('checkpoint', name + 'raw', file + head + struct.pack('<I', 1 << 31) + b'x' * 36)
        put('checkpoint', name + 'sound', change)
        for step in (1, 7, 40):
            put('checkpoint', name + 'changed-%d' % step, change + b''.join(
                struct.pack('<HB', *one) for one in changes[::step]))
        # Behind the identity: the place in the training, its sums, the curve.
        for at in range(0, 270, 9):
            put('checkpoint', name + 'at-%d' % at, change + struct.pack('<HB', at, 255))


def journal_records():
    with open(os.path.join(RUN, 'journal'), 'rb') as file:
        data = file.read()
    at, records = 16, []
    while at + 12 <= len(data):
        size, kind, _ = struct.unpack_from('<III', data, at)
        records.append((kind, data[at + 12:at + 12 + size]))
        at += 12 + size
    return data, records


def journals():
    data, records = journal_records()
    put('journal', 'whole', data)
    put('journal', 'torn', data[:len(data) // 2])
    put('journal', 'header', data[:16])
    put('journal', 'huge', data[:16] + struct.pack('<III', 0x7fffffff, 1, 0) + b'x' * 40)
    put('journal', 'short', data[:9])
    joined = [framed(kind, payload) for kind, payload in records]
    for who in (0, 1):
        put('run', 'whole-%d' % who, bytes([who]) + b''.join(joined))
        put('run', 'unfinished-%d' % who, bytes([who]) + b''.join(joined[:len(joined) // 2]))
        put('run', 'resumed-%d' % who, bytes([who]) + b''.join(joined[:14] + joined[1:2]))
    put('run', 'without-start', b'\1' + b''.join(joined[2:]))
    put('run', 'twice', b'\1' + b''.join(joined + joined[-10:]))


DARTS = """task: {kind: language-model, data: {format: generated-text}}
space: {name: rnn-dag, nodes: 2}
trainer: {builtin: {optimizer: {momentum: 0, nesterov: false},
                    recurrent: {output: all-but-first}}}
reward: {metric: val_loss}
search: {strategy: darts, trials: unlimited, shared: {epochs: 1, steps: 2, finalists: 1}}
control: {share: 0}
run: {mode: sync}
"""


def relaxed_runs():
    """Both steps of a search by a relaxed cell, its score, and the child's proposal."""
    def cell(*tokens):
        return struct.pack('<HH%dH' % len(tokens), 2, len(tokens), *tokens)

    def settled(*tokens):
        return cell(*tokens) + struct.pack('<d', -2.5)

    def proposed(trial, kind, shown, *shared):
        return (2, struct.pack('<QBBBQQIqQQdd', trial, kind, 0, 0, trial, 9, 0, -1, 1, 2,
                               float('nan'), 5) + shown +
                (struct.pack('<Qi', *shared) if shared else b''))

    def over(trial, derived=b''):
        return [(3, struct.pack('<QIIId', trial, 1, 1, 0, 6)),
                (5, struct.pack('<QIIIdB5dBI', trial, 1, 1, 0, float('nan'), 0, .5, 1, 2, 3, 7,
                                0, 1) + epoch(1, .5, 1, .5, .1, 2) + text('avx2') + derived),
                (6, struct.pack('<Q', trial))]
    first, second = cell(0, 0, 0), cell(0, 0, 1)
    records = ([(7, text(DARTS)), (1, text('0.1.0') + text('n1') + struct.pack('<Qdi', 1, 4, 1)),
                proposed(0, 3, first, 0, 0), proposed(1, 3, first, 1, 0)] + over(0, settled(0, 0, 0)) +
               over(1, settled(0, 0, 1)) + [proposed(2, 4, second, 2, -1)] + over(2) +
               [proposed(3, 0, second)])
    for who in (0, 1):
        put('run', 'relaxed-%d' % who, bytes([who]) + b''.join(framed(*r) for r in records))
    bad = records[:4] + over(0, settled(0, 0, 9)) + over(1)
    put('run', 'relaxed-bad', b'\0' + b''.join(framed(*r) for r in bad))


def snapshots():
    with open(os.path.join(RUN, 'snapshot.h5'), 'rb') as file:
        data = file.read()
    put('snapshot', 'raw', b'\0' + data)
    put('snapshot', 'raw-short', b'\0' + data[:700])
    put('snapshot', 'raw-damaged', b'\0' + data[:2000] + b'damage' + data[2006:])
    put('snapshot', 'raw-none', b'\0')
    put('snapshot', 'sound', b'\1' + bytes(400))
    put('snapshot', 'many', b'\1\xc0\x20' + bytes(3000))
    for at in range(0, 60, 12):
        put('snapshot', 'odd-%02d' % at, b'\1' + bytes(at) + b'\xd0\x09' + bytes(400))
    put('snapshot', 'large', b'\1' + bytes(3) + b'\xf0' + b'\xff' * 8 + bytes(400))


def digests():
    def trial(state, arm=0, kernels=0, same_as=0, flight=b''):
        return (struct.pack('<BBBBIdddQQ', state, arm, kernels, 0, same_as, .5, 2, 1.7e9,
                            state, 7) + flight)
    head = (struct.pack('<QQ', 16, 1) + text('task: {data: {format: generated}}\n') +
            struct.pack('<6dQ', 1, 2, 3, 4, 5, 6, 7))
    scalars = (struct.pack('<I', 2) + text('session/elapsed') + struct.pack('<Bd', 1, 3) +
               text('session/count') + struct.pack('<Bq', 2, 1))
    kernels = struct.pack('<I', 1) + text('avx2')
    running = struct.pack('<HiiId', 1, 2, 0, 3, 2.5)
    trials = [trial(3, 0, 1), trial(5, 0, 0, 1), trial(4, 1), trial(1, flight=running),
              trial(2, 0, 0, 4, running), trial(0, 1, flight=running)]
    score = (struct.pack('<BBBBIdddQQQi', 3, 0, 0, 4, 0, .5, 2, 1.7e9, 6, 7, 40, -1) +
             struct.pack('<HH3H', 2, 3, 0, 0, 1))
    trials.append(score)
    content = head + scalars + kernels + struct.pack('<Q', len(trials)) + b''.join(trials)
    put('digest', 'all', b'\1' + content)
    put('digest', 'none', b'\1' + head + struct.pack('<IIQ', 0, 0, 0))
    put('digest', 'raw', b'\0ARCHWAYD' + struct.pack('<IIQQ', 4, 0, 0, 0) + content)


def idx(*dims, content=b''):
    return struct.pack('>BBBB', 0, 0, 8, len(dims)) + struct.pack(
        '>%dI' % len(dims), *dims) + content


def packed(data):
    return gzip.compress(data, 9, mtime=0)


def data_files():
    def pair(kind, images, labels):
        return bytes([kind]) + struct.pack('<H', len(images)) + images + labels

    images, labels = idx(6, 4, 3, content=bytes(range(72))), idx(6, content=b'\0\1\2\0\1\2')
    put('data', 'idx', pair(0, images, labels))
    put('data', 'idx-rank-4', pair(0, idx(6, 4, 3, 2, content=bytes(144)), labels))
    put('data', 'idx-short', pair(0, images[:-5], labels))
    put('data', 'idx-huge', pair(0, idx(1 << 24, 1024, 1024), idx(1 << 24)))
    put('data', 'idx-gz', pair(1, packed(images), packed(labels)))
    put('data', 'idx-gz-short', pair(1, packed(images)[:-9], packed(labels)))
    # says 2^24 images of 2^20 bytes; its last four bytes agree, modulo 2^32
    bomb = packed(idx(1 << 24, 1024, 1024))[:-4] + struct.pack('<I', 16)
    many = packed(idx(1 << 24, content=bytes(1 << 24)))
    put('data', 'idx-gz-bomb', pair(1, bomb, many))
    put('data', 'cifar10', b'\2\0\0' + bytes([3, 200, 7]))
    put('data', 'cifar10-label', b'\2\0\0' + bytes([10, 200, 7]))
    put('data', 'cifar100', b'\3\0\0' + bytes([3, 99, 7]))
    put('data', 'cifar100-cut', b'\3\0\0' + bytes([9, 99, 7]))


def configurations():
    with open(os.path.join(RUN, 'config.yaml'), encoding='utf-8') as file:
        put('config', 'golden', file.read())
    for name in ('quickstart', 'nas-2017', 'external-trainer', 'skip-connections'):
        with open(os.path.join(HERE, '../../deploy/configs', name + '.yaml'),
                  encoding='utf-8') as file:
            put('config', name, file.read())
    base = 'task: {data: {format: generated}}\n'
    put('config', 'set', base + '\0trainer.command=[python3, "a b", \'\u00e9\']')
    put('config', 'texts', 'name: "a\\"\\\\ \\n\\t: #"\nseed: 9223372036854775807\n' + base +
        'run: {trial_timeout: 1.5h, time_limit: 90s}\nresources: {memory_per_trial: 3GiB}\n')
    put('config', 'alias', 'a: &a [1]\nb: *a\n')
    put('config', 'deep', 'a: ' + '{a: ' * 40 + '1' + '}' * 40)
    put('config', 'wrong', 'serch: {trials: x}\n')
    put('config', 'lists', base + 'space: {filters: [%s]}\n' % ', '.join(map(str, range(1, 80))))


def texts():
    put('text', 'plain', '\0the cat sat\n on the <unk> mat\n\n the end')
    put('text', 'limit', '\3a b a c a b\n')
    put('text', 'spaces', b'\0\xef\xbb\xbfa\xc2\xa0b\r\nc\rd\xe3\x80\x80e\x1c\x85')
    put('text', 'cut', b'\2word \xf0\x9f\x98')
    put('text', 'binary', b'\0' + bytes(range(256)))
    put('text', 'long', '\5' + 'w' * 1024 + ' ' + 'v' * 1025)


def architectures():
    good = {'space': 'conv-chain', 'depth': 2, 'tokens': [0] * 8, 'layers': LAYERS}
    put('architecture', 'good', '\0' + json.dumps(good))
    put('architecture', 'no-layers', '\0{"layers": []}')
    put('architecture', 'inputs', '\0' + json.dumps(
        {'layers': [LAYERS[0], dict(LAYERS[1], inputs=[0, 0])]}))
    put('architecture', 'range', '\0' + json.dumps(
        {'layers': [dict(LAYERS[0], filters=10 ** 18)]}))
    put('architecture', 'many', '\0' + json.dumps({'layers': [LAYERS[0]] * 64}))
    put('architecture', 'deep', '\0' + '[' * 3000)
    put('architecture', 'tokens', b'\1' + struct.pack('<26H', 6, 24, *([1] * 24)))
    anchors = [0, 0, 0, 0]
    for layer in range(1, 6):
        anchors += [1, 2, 1, 0] + [layer & 1] * layer
    put('architecture', 'anchors', b'\3' + struct.pack(
        '<%dH' % (2 + len(anchors)), 6, len(anchors), *anchors))
    node = {'combination': 'add', 'activation': 'tanh'}
    tree = {'nodes': [node, dict(node, combination='elem_mult'), node], 'inject': node,
            'memory': 1, 'injected': 0}
    put('architecture', 'tree', '\0' + json.dumps(tree))
    put('architecture', 'tree-indices', '\0' + json.dumps(dict(tree, memory=3)))
    dag = [{'activation': 'relu', 'previous': previous} for previous in (-1, 0, 0, 2)]
    put('architecture', 'dag', '\0' + json.dumps({'nodes': dag}))
    put('architecture', 'dag-cycle', '\0' + json.dumps({'nodes': dag + [dict(dag[0], previous=4)]}))
    nodes = [token for j in range(12) for token in ([j // 2] if j else []) + [j % 4]]
    for variant in (5, 7):
        put('architecture', 'dag-tokens-%d' % variant, bytes([variant]) + struct.pack(
            '<25H', 12, 23, *nodes))
    put('architecture', 'tree-tokens', b'\x09' + struct.pack('<36H', 8, 34, *([1] * 34)))
    put('architecture', 'tokens-many', b'\1' + struct.pack('<HH', 6, 65535) + bytes(4000))


messages()
trainer_lines()
trainer_orders()
checkpoints()
journals()
relaxed_runs()
snapshots()
digests()
data_files()
configurations()
texts()
architectures()
