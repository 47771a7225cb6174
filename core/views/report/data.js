// SPDX-License-Identifier: GPL-2.0-or-later
// Reads the data, whose arrays have the order of these lists (core/views/report-data.c), and says numbers.

const REALM = ['name', 'size', 'used'];
const SUM = ['realm', 'kind', 'state', 'segments', 'size', 'memory', 'unwritten'];
const LIMIT = ['resource', 'limit', 'used'];
const PROCESS = ['pid', 'uid', 'command', 'unit', 'cmdline', 'born', 'segments', 'mappings', 'descriptors', 'size',
	'share'];
const SEGMENT = ['realm', 'kind', 'state', 'id', 'name', 'mode', 'uid', 'gid', 'size', 'allocated', 'resident',
	'swapped', 'mappings', 'processes', 'openers', 'references', 'hidden', 'since', 'mtime', 'users', 'seen',
	'common', 'by'];

// Kinds whose memory is that of a tmpfs; the others have none of their own.
const ON_TMPFS = new Set(['posix', 'nested', 'unlinked']);

const data = JSON.parse(document.getElementById('data').textContent);

const records = (names, arrays) => arrays.map(values => {
	const record = {};
	names.forEach((name, i) => { record[name] = values[i]; });
	return record;
});

const realms = records(REALM, data.realms);
const sums = records(SUM, data.sums);
const limits = records(LIMIT, data.limits);
const processes = records(PROCESS, data.processes);
const segments = records(SEGMENT, data.segments);
const userNames = new Map(data.users);
const now = Number(data.time);

const total = (list, key) => list.reduce((sum, one) => sum + one[key], 0);

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

// Bytes as people read them, with three digits.
const bytes = n => {
	let unit = 0;
	if (n === null)
		return '?';
	while (n >= 1023.5 && unit < UNITS.length - 1) {
		n /= 1024;
		unit++;
	}
	return (unit === 0 ? n : n.toPrecision(n >= 100 ? 4 : 3).replace(/^(\d{3,})\.\d+$/, '$1')) + ' ' + UNITS[unit];
};

const count = n => n === null ? '?' : n.toLocaleString('en').replaceAll(',', '\u202f');

// "1 segment", "2 segments"
const several = (n, one, many = one + 's') => count(n) + ' ' + (n === 1 ? one : many);

const percent = share => {
	const n = 100 * share;
	return (n > 0 && n < 0.95 ? n.toFixed(1) : Math.floor(n)) + '\u202f%';
};

const age = seconds => {
	const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
	const at = parts.findIndex(([length]) => seconds >= length);
	if (at < 0)
		return 'now';
	const [length, name] = parts[at], n = Math.floor(seconds / length);
	const rest = at < 2 && n < 10 ? Math.floor((seconds - n * length) / parts[at + 1][0]) : 0;
	return n + ' ' + name + (rest > 0 ? ' ' + rest + ' ' + parts[at + 1][1] : '');
};

const moment = seconds => {
	const date = new Date(seconds * 1000), two = n => String(n).padStart(2, '0'), zone = -date.getTimezoneOffset();
	return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
		`${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ` +
		`${zone < 0 ? '−' : '+'}${two(Math.floor(Math.abs(zone) / 60))}:${two(Math.abs(zone) % 60)}`;
};

const userOf = uid => userNames.get(uid) ?? String(uid);

// Of the daemon's own realm a tmpfs alone has a name.
const placeOf = segment => segment.realm > 0 ? realms[segment.realm].name : ON_TMPFS.has(segment.kind) ? data.source : '';

const realmName = index => index === 0 ? data.source : realms[index].name;

// What a segment's memory is, as far as it is known.
for (const segment of segments) {
	segment.memory = segment.allocated ?? 0;
	segment.since = Number(segment.since);
	segment.mtime = Number(segment.mtime);
	segment.age = segment.state === 'idle' && segment.since > 0 ? Math.max(now - segment.since, 0) : null;
	segment.first = segment.by.length > 0 ? processes[segment.by[0]] : null;
	segment.unit = segment.first && segment.common & 1 ? segment.first.unit : null;
	segment.program = segment.first && segment.common & 2 ? segment.first.command : null;
}

// Names as programs make them: what they number or draw by lot is one family.
const familyOf = name => {
	const family = name.replace(/[0-9a-f]*[0-9][0-9a-f]*/gi, '*').replace(/(\*[-_.:]?)+\*/g, '*');
	return family === '' ? '(no name)' : family;
};

// Octal numbers stand for bytes in what is shown; $'' says them to a shell.
const shellWord = text => /^[\w.,:@%+=/-]+$/.test(text) ? text : "$'" + text.replaceAll("'", "\\'") + "'";

const removalOf = segment => segment.state === 'idle' && segment.realm === 0 &&
	(segment.kind === 'posix' || segment.kind === 'sysv') ?
	'rmdir ' + shellWord(`idle/${segment.kind}/${segment.id}`) : null;

// Who uses a segment, in a few words.
const usersOf = segment => {
	if (segment.users === 0)
		return segment.state === 'held' ? 'no process shows it' : segment.state === 'unknown' ? 'not known' : '';
	if (segment.seen === 0)
		return 'not shown to you';
	const name = segment.program ?? several(segment.users, 'process', 'processes');
	return segment.program && segment.users > 1 ? `${name} × ${segment.users}` : name;
};

const unitOf = segment => segment.seen === 0 ? '' : segment.unit === null ? 'several units' :
	segment.unit === '-' ? '' : segment.unit;
