/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/truncation.h"

#include "faults/truncations.h"
#include "node/data-node.h"

#include <glib.h>
#include <sys/stat.h>

struct before_truncation truncation_begin(int fd)
{
	struct stat st;

	return (struct before_truncation){
		.time = truncations_now(),
		.size = fstat(fd, &st) < 0 ? 0 : st.st_size,
	};
}

static struct segment_key key_of(struct fs *fs, struct node *node)
{
	g_autofree struct data_node *data = NULL;

	if (!is_data(node))
		return (struct segment_key){
			.dev = fs->shm_dev,
			.ino = node->ino,
			.class = SEGMENT_FILE,
		};
	data = node_copy_data(fs->nodes, node);
	return data->item.key;
}

void truncation_end(struct fs *fs, fuse_req_t req, struct node *node,
	const struct before_truncation *before, uint64_t after)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct truncation made = {
		.pid = ctx->pid,
		.uid = ctx->uid,
		.after = before->time,
		.from = before->size,
		.to = after,
	};
	struct segment_key key;

	if (after >= before->size)
		return;
	key = key_of(fs, node);
	truncations_note(fs->truncations, &key, &made);
}
