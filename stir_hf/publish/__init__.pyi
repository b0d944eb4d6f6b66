from .config import PublishConfig as PublishConfig
from .config import ShareConfig as ShareConfig
from .push import check_destination as check_destination
from .push import check_models as check_models
from .push import entries as entries
from .push import publish as publish
from .push import push_folder as push_folder
from .push import send as send
