/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events/handles.h"

#include "base/util.h"

#include <fcntl.h>
#include <string.h>

union room {
	struct file_handle handle;
	uint8_t bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

int handle_of(int directory, const char *name, uint8_t out[TMPFS_HANDLE_BYTES])
{
	union room room = { .handle.handle_bytes = MAX_HANDLE_SZ };
	struct stat st;
	uint64_t inode;
	int mount;

	if (name_to_handle_at(directory, name, &room.handle, &mount, *name ? 0 : AT_EMPTY_PATH) <
			0 ||
		fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH)) <
			0)
		return -errno;
	const struct file_id id = { room.handle.f_handle, room.handle.handle_bytes,
		room.handle.handle_type };
	if (!file_id_inode(&id, &inode) || inode != st.st_ino)
		return -EOPNOTSUPP;
	memcpy(out, id.bytes, id.n);
	return 0;
}

uint32_t handle_generation(const uint8_t handle[TMPFS_HANDLE_BYTES])
{
	uint32_t generation;

	memcpy(&generation, handle, sizeof generation);
	return generation;
}

int handle_stat(int directory, uint64_t inode, uint32_t generation, struct stat *out)
{
	const uint32_t words[] = { generation, inode, inode >> 32 };
	union room room = {
		.handle = { .handle_bytes = sizeof words, .handle_type = TMPFS_HANDLE_TYPE },
	};

	memcpy(room.handle.f_handle, words, sizeof words);
	auto_fd fd = open_by_handle_at(directory, &room.handle, O_PATH | O_CLOEXEC);
	return fd < 0 || fstat(fd, out) < 0 ? -errno : 0;
}
