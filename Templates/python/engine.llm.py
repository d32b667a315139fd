"""__NAME__: an engine of the kind llm. It says the last message in capital letters, a word at a time: put your model there."""
from stoker_engine import BadInput, Engine, serve  # first: now nothing that prints can harm the wire
import re, time


class Main(Engine):
    name, version = "__NAME__", "0.1.0"

    def initialize(self, params):
        self.pace = (params.get("config") or {}).get("pace", 20) / 1000  # plugin.yaml declares it, and the operator sets it

    def run(self, job):
        messages = job.get("messages", list)
        if not messages or not isinstance(messages[-1].get("content"), str):
            raise BadInput("The last of task.messages needs a text as its content.")
        words = re.findall(r"\S+\s*", messages[-1]["content"].upper())
        for at, word in enumerate(words, 1):
            time.sleep(self.pace)
            job.chunk(word)  # waits for credit; ends the job when it was cancelled
            job.progress(at / len(words), stage="words")
        usage = {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 2 * len(words)}
        message = {"role": "assistant", "content": "".join(words)}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {"output": {"object": "chat.completion", "model": self.name, "choices": choices, "usage": usage}}


serve(Main())
